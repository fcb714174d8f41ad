import {
  DeliverPolicy,
  type JsMsg,
  jetstream,
  jetstreamManager,
  type OrderedConsumerOptions,
  StorageType,
} from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { decodeJson, encodeJson } from "../../load/bench-message.js";
import type { MessageHandler, ReaderOptions, Sender, SystemClient } from "../system-client.js";

/** Messages a reader may have asked for ahead. */
const readAheadMessages = 1_000;

/** Uses JetStream: a stream per channel, ordered consumers as readers. */
export class JetStreamClient implements SystemClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async openSender(channel: string, senderAgentId: string): Promise<Sender> {
    const nats = await this.#connect(channel);
    const stream = jetstream(nats);
    return {
      send: async (number) => {
        await stream.publish(channel, encodeJson(senderAgentId, number));
      },
      [Symbol.asyncDispose]: () => nats.close(),
    };
  }

  async openReader({ channel, from, onMessage, onError }: ReaderOptions): Promise<AsyncDisposable> {
    const nats = await this.#connect(channel);
    await consume(nats, channel, {
      options: { deliver_policy: from === "earliest" ? DeliverPolicy.All : DeliverPolicy.New },
      onMessage,
    });
    nats.closed().then((error) => {
      if (error !== undefined) onError(error);
    }, onError);
    return { [Symbol.asyncDispose]: () => nats.close() };
  }

  async readLast(channel: string, count: number, onMessage: MessageHandler): Promise<void> {
    const nats = await connect({ servers: this.#url });
    try {
      const { state } = await (await jetstreamManager(nats)).streams.info(channel);
      let left = Math.min(count, state.messages);
      const options = { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: state.last_seq - left + 1 };
      await new Promise<void>((resolve, reject) => {
        const onRead: MessageHandler = (senderAgentId, number) => {
          onMessage(senderAgentId, number);
          left -= 1;
          if (left === 0) resolve();
        };
        consume(nats, channel, { options, onMessage: onRead }).catch(reject);
      });
    } finally {
      await nats.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #connect(channel: string): Promise<NatsConnection> {
    const nats = await connect({ servers: this.#url });
    const { streams } = await jetstreamManager(nats);
    await streams.add({ name: channel, subjects: [channel], storage: StorageType.File });
    return nats;
  }
}

interface Consumption {
  readonly options: Partial<OrderedConsumerOptions>;
  readonly onMessage: MessageHandler;
}

async function consume(nats: NatsConnection, channel: string, { options, onMessage }: Consumption): Promise<void> {
  const consumer = await jetstream(nats).consumers.get(channel, options);
  await consumer.consume({
    max_messages: readAheadMessages,
    callback: (msg: JsMsg) => {
      const message = decodeJson(msg.string());
      onMessage(message.senderAgentId, message.responseTimeoutMs);
    },
  });
}
