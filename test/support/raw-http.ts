import { request } from "node:http";
import { connect } from "node:http2";
import { buffer, text } from "node:stream/consumers";

/** A request as bytes, for what no typed client would send. */
export interface RawRequest {
  readonly path: string;
  readonly body: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  /** `POST` unless given. */
  readonly method?: string;
}

/** An answer as it came. */
export interface RawResponse {
  readonly status: number;
  readonly body: string;
}

/** Sends a request over HTTP/1.1, on a connection of its own. */
export function requestHttp1(url: string, { path, body, headers, method = "POST" }: RawRequest): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    const sent = request(`${url}${path}`, { method, agent: false, headers }, (response) => {
      text(response).then((received) => resolve({ status: response.statusCode ?? 0, body: received }), reject);
    });
    sent.once("error", reject);
    sent.end(body);
  });
}

/** Sends a request over HTTP/2, on a connection of its own; answers the body and the trailers, or the headers when there are none. */
export async function requestHttp2(
  url: string,
  { path, body, headers, method = "POST" }: RawRequest,
): Promise<{ readonly body: Buffer; readonly trailers: Readonly<Record<string, unknown>> }> {
  const session = connect(url);
  try {
    const stream = session.request({ ":path": path, ":method": method, ...headers });
    let trailers: Readonly<Record<string, unknown>> = {};
    const keep = (received: Readonly<Record<string, unknown>>) => {
      trailers = { ...trailers, ...received };
    };
    stream.on("response", keep).on("trailers", keep);
    stream.end(body);
    return { body: await buffer(stream), trailers };
  } finally {
    session.destroy();
  }
}

/** The envelope of gRPC, and of streams of the Connect protocol, around one message. */
export function enveloped(message: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([header, message]);
}
