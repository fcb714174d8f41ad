import { connect, type NatsConnection } from "@nats-io/transport-node";
import { decodeJson, encodeJson } from "../../load/bench-message.js";
import type { ReaderOptions, Sender, SystemClient } from "../system-client.js";

/** Uses plain NATS. A channel is a subject. A flush stands for the acknowledgement that a publish has not. */
export class NatsCoreClient implements SystemClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async openSender(channel: string, senderAgentId: string): Promise<Sender> {
    const nats = await connect({ servers: this.#url });
    const flush = sharedFlush(nats);
    return {
      send: (number) => {
        nats.publish(channel, encodeJson(senderAgentId, number));
        return flush();
      },
      [Symbol.asyncDispose]: () => nats.close(),
    };
  }

  async openReader({ channel, onMessage, onError }: ReaderOptions): Promise<AsyncDisposable> {
    const nats = await connect({ servers: this.#url });
    nats.subscribe(channel, {
      callback: (error, msg) => {
        if (error !== null) return onError(error);
        const message = decodeJson(msg.string());
        onMessage(message.senderAgentId, message.responseTimeoutMs);
      },
    });
    await nats.flush();
    return { [Symbol.asyncDispose]: () => nats.close() };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** One flush for all that was published in one turn. */
function sharedFlush(nats: NatsConnection): () => Promise<void> {
  let next: Promise<void> | undefined;
  return () => {
    next ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        next = undefined;
        nats.flush().then(resolve, reject);
      });
    });
    return next;
  };
}
