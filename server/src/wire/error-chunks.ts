import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import {
  type ConnectErrorJson,
  completeConnectError,
  completeTrailers,
  httpStatusOf,
  type OnCompleted,
} from "./error-completion.js";

const envelopeHeaderBytes = 5;
/** Marks the envelope with the trailers of gRPC-Web. */
const webTrailersFlag = 0b1000_0000;
/** Marks the envelope that ends a stream of the Connect protocol. */
const endStreamFlag = 0b0000_0010;

/**
 * Returns the response with its errors completed. Bodies are passed through; only the envelope that ends a stream, and
 * the body of a Connect error, are looked into. gRPC keeps its errors in the trailers, which the writer completes.
 */
export async function withCompleteErrors(
  response: UniversalServerResponse,
  onCompleted: OnCompleted,
): Promise<UniversalServerResponse> {
  const { body } = response;
  const type = response.header?.get("content-type") ?? "";
  if (body === undefined) return response;
  if (type.startsWith("application/grpc-web")) {
    return { ...response, body: replaceLast(body, webTrailersFlag, (data) => completeWebTrailers(data, onCompleted)) };
  }
  if (type.startsWith("application/connect+")) {
    return { ...response, body: replaceLast(body, endStreamFlag, (data) => completeEndStream(data, onCompleted)) };
  }
  if (response.status >= 400 && type === "application/json") return completeUnary(response, body, onCompleted);
  return response;
}

type Replace = (data: Uint8Array) => Uint8Array;

/** Passes envelopes through and replaces the data of those that carry `flag`: the last, by the protocol. */
function replaceLast(body: AsyncIterable<Uint8Array>, flag: number, replace: Replace): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]() {
      const source = body[Symbol.asyncIterator]();
      return {
        next: async () => {
          const result = await source.next();
          if (result.done === true || ((result.value[0] ?? 0) & flag) === 0) return result;
          return { done: false, value: replaceData(result.value, replace) };
        },
        return: async (value) => (await source.return?.(value)) ?? { done: true, value },
      };
    },
  };
}

function replaceData(envelope: Uint8Array, replace: Replace): Uint8Array {
  const data = replace(envelope.subarray(envelopeHeaderBytes));
  const replaced = Buffer.alloc(envelopeHeaderBytes + data.byteLength);
  replaced[0] = envelope[0] ?? 0;
  replaced.writeUInt32BE(data.byteLength, 1);
  replaced.set(data, envelopeHeaderBytes);
  return replaced;
}

function completeWebTrailers(data: Uint8Array, onCompleted: OnCompleted): Uint8Array {
  const trailers = new Headers();
  for (const line of Buffer.from(data).toString("utf8").split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) trailers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  completeTrailers(trailers, onCompleted);
  return Buffer.from([...trailers].map(([name, value]) => `${name}: ${value}\r\n`).join(""), "utf8");
}

function completeEndStream(data: Uint8Array, onCompleted: OnCompleted): Uint8Array {
  const end = JSON.parse(Buffer.from(data).toString("utf8")) as { error?: ConnectErrorJson };
  if (end.error === undefined || end.error.details !== undefined) return data;
  completeConnectError(end.error, onCompleted);
  return Buffer.from(JSON.stringify(end), "utf8");
}

async function completeUnary(
  response: UniversalServerResponse,
  body: AsyncIterable<Uint8Array>,
  onCompleted: OnCompleted,
): Promise<UniversalServerResponse> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  const error = JSON.parse(Buffer.concat(chunks).toString("utf8")) as ConnectErrorJson;
  completeConnectError(error, onCompleted);
  return jsonResponse(httpStatusOf(error, response.status), error, response.header);
}

/** Headers by name. */
export type HeaderPairs = Headers | Readonly<Record<string, string>>;

/** A whole response that is one JSON value. */
export function jsonResponse(status: number, value: unknown, headers: HeaderPairs = {}): UniversalServerResponse {
  const data = Buffer.from(JSON.stringify(value), "utf8");
  const header = new Headers(headers instanceof Headers ? headers : { ...headers });
  header.set("content-type", "application/json");
  header.set("content-length", String(data.byteLength));
  return { status, header, body: once(data) };
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}
