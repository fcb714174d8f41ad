import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import { FrameReader, frameOf } from "./grpc-frame.js";
import { maxRelayMessageBytes, relayWindowBytes } from "./relay.js";

const requestHeaders = {
  ":method": "POST",
  "content-type": "application/grpc",
  te: "trailers",
};

/** One HTTP/2 connection that speaks gRPC with as little work as it takes. */
export class Http2Connection implements AsyncDisposable {
  readonly #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
  }

  /** Connects. */
  static async open(url: string): Promise<Http2Connection> {
    const session = connect(url, { maxSessionMemory: 256, settings: { initialWindowSize: relayWindowBytes } });
    await once(session, "connect");
    session.setLocalWindowSize(relayWindowBytes);
    return new Http2Connection(session);
  }

  /** Makes a unary call; resolves with the answer's message, rejects unless its status is OK. */
  call(path: string, message: Uint8Array): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let answer: Buffer | undefined;
      let status = "none";
      const reader = new FrameReader(maxRelayMessageBytes, (bytes) => {
        answer = bytes;
      });
      const takeStatus = (headers: { readonly [name: string]: unknown }) => {
        status = String(headers["grpc-status"] ?? status);
      };
      const stream = this.#session.request({ ...requestHeaders, ":path": path });
      stream.on("response", takeStatus);
      stream.on("trailers", takeStatus);
      stream.on("data", (chunk: Buffer) => reader.read(chunk));
      stream.once("error", reject);
      stream.once("end", () => {
        if (status === "0" && answer !== undefined) resolve(answer);
        else reject(new Error(`${path} answered with status ${status}`));
      });
      stream.end(frameOf(message));
    });
  }

  /** Opens a streaming call; each message that comes is handed over. */
  open(path: string, onMessage: (message: Buffer) => void): ClientHttp2Stream {
    const reader = new FrameReader(maxRelayMessageBytes, onMessage);
    const stream = this.#session.request({ ...requestHeaders, ":path": path });
    stream.on("data", (chunk: Buffer) => reader.read(chunk));
    return stream;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#session.destroyed) return;
    const closed = once(this.#session, "close");
    this.#session.destroy(undefined, constants.NGHTTP2_NO_ERROR);
    await closed;
  }
}
