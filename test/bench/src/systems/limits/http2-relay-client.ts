import { decodeSignal, encodeSignal, numberOf } from "../../load/bench-signal.js";
import type { ReaderOptions, Sender, SystemClient } from "../system-client.js";
import { frameOf } from "./grpc-frame.js";
import { Http2Connection } from "./http2-client.js";
import { PendingAcknowledgements } from "./pending-acknowledgements.js";
import { type Publishing, relayPaths } from "./relay.js";

/** Speaks to a relay through bare node:http2. */
export class Http2RelayClient implements SystemClient {
  readonly #url: string;
  readonly #publishing: Publishing;

  constructor(url: string, publishing: Publishing) {
    this.#url = url;
    this.#publishing = publishing;
  }

  async openSender(_channel: string, senderAgentId: string): Promise<Sender> {
    const connection = await Http2Connection.open(this.#url);
    return this.#publishing === "stream"
      ? streamSender(connection, senderAgentId)
      : unarySender(connection, senderAgentId);
  }

  async openReader({ onMessage, onError }: ReaderOptions): Promise<AsyncDisposable> {
    const connection = await Http2Connection.open(this.#url);
    await new Promise<void>((resolve, reject) => {
      const stream = connection.open(relayPaths.subscribe, (message) => {
        // The empty message says that the subscription stands.
        if (message.length === 0) return resolve();
        const signal = decodeSignal(message);
        onMessage(signal.senderAgentId, numberOf(signal));
      });
      stream.on("error", (error) => {
        reject(error);
        onError(error);
      });
      stream.end(frameOf(new Uint8Array()));
    });
    return connection;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function unarySender(connection: Http2Connection, senderAgentId: string): Sender {
  return {
    send: async (number) => {
      await connection.call(relayPaths.publishOne, encodeSignal(senderAgentId, number));
    },
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}

function streamSender(connection: Http2Connection, senderAgentId: string): Sender {
  const pending = new PendingAcknowledgements();
  const stream = connection.open(relayPaths.publish, (count) => pending.acknowledged(count.readUInt32BE()));
  stream.on("error", (error) => pending.fail(error));
  let frames: Buffer[] = [];
  const flush = () => {
    stream.write(frames.length === 1 ? frames[0] : Buffer.concat(frames));
    frames = [];
  };
  return {
    send: (number) => {
      if (frames.length === 0) setImmediate(flush);
      frames.push(frameOf(encodeSignal(senderAgentId, number)));
      return pending.next();
    },
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}
