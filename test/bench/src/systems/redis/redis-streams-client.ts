import { Redis } from "ioredis";
import { decodeJson, encodeJson } from "../../load/bench-message.js";
import type { MessageHandler, ReaderOptions, Sender, SystemClient } from "../system-client.js";

/** Entries of one answer to a reader. */
const readCount = 1_000;
/** The position before the first entry. */
const start = "0-0";

type StreamEntry = readonly [id: string, fields: readonly string[]];

/** Uses Redis Streams: XADD to send, a blocking XREAD on a connection of its own for each reader. A channel is a key. */
export class RedisStreamsClient implements SystemClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async openSender(channel: string, senderAgentId: string): Promise<Sender> {
    const redis = await this.#connect();
    return {
      send: async (number) => {
        await redis.xadd(channel, "*", "signal", encodeJson(senderAgentId, number));
      },
      [Symbol.asyncDispose]: async () => redis.disconnect(),
    };
  }

  async openReader({ channel, from, onMessage, onError }: ReaderOptions): Promise<AsyncDisposable> {
    const redis = await this.#connect();
    let position = from === "earliest" ? start : await lastPosition(redis, channel);
    let closed = false;
    const reading = (async () => {
      while (!closed) {
        const answer = await redis.xread("COUNT", readCount, "BLOCK", 0, "STREAMS", channel, position);
        const entries: readonly StreamEntry[] = answer?.[0]?.[1] ?? [];
        for (const entry of entries) handle(entry, onMessage);
        position = entries.at(-1)?.[0] ?? position;
      }
    })().catch((error: unknown) => {
      if (!closed) onError(error);
    });
    const close = async () => {
      closed = true;
      redis.disconnect();
      await reading;
    };
    return { [Symbol.asyncDispose]: close };
  }

  async readLast(channel: string, count: number, onMessage: MessageHandler): Promise<void> {
    const redis = await this.#connect();
    try {
      for (const entry of await redis.xrevrange(channel, "+", "-", "COUNT", count)) handle(entry, onMessage);
    } finally {
      redis.disconnect();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #connect(): Promise<Redis> {
    const redis = new Redis(this.#url, { lazyConnect: true });
    await redis.connect();
    return redis;
  }
}

async function lastPosition(redis: Redis, channel: string): Promise<string> {
  const [last] = await redis.xrevrange(channel, "+", "-", "COUNT", 1);
  return last?.[0] ?? start;
}

function handle([, [, json = ""]]: StreamEntry, onMessage: MessageHandler): void {
  const message = decodeJson(json);
  onMessage(message.senderAgentId, message.responseTimeoutMs);
}
