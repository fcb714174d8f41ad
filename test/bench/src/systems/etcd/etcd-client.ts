import { Etcd3, type IKeyValue } from "etcd3";
import { decodeJson, encodeJson } from "../../load/bench-message.js";
import type { MessageHandler, ReaderOptions, Sender, SystemClient } from "../system-client.js";

/** Digits of a key's number, so that keys sort as numbers do. */
const keyDigits = 12;

/** Uses etcd: one key per message below the channel's prefix, a watch on the prefix for each reader. */
export class EtcdClient implements SystemClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async openSender(channel: string, senderAgentId: string): Promise<Sender> {
    const etcd = new Etcd3({ hosts: this.#url });
    return {
      send: async (number) => {
        const key = `${channel}/${senderAgentId}/${String(number).padStart(keyDigits, "0")}`;
        await etcd.put(key).value(encodeJson(senderAgentId, number)).exec();
      },
      [Symbol.asyncDispose]: async () => etcd.close(),
    };
  }

  async openReader({ channel, from, onMessage, onError }: ReaderOptions): Promise<AsyncDisposable> {
    const etcd = new Etcd3({ hosts: this.#url });
    const watch = etcd.watch().prefix(`${channel}/`).only("put");
    const watcher = await (from === "earliest" ? watch.startRevision("1") : watch).create();
    watcher.on("put", (keyValue) => handle(keyValue, onMessage));
    watcher.on("error", onError);
    const close = async () => {
      await watcher.cancel();
      etcd.close();
    };
    return { [Symbol.asyncDispose]: close };
  }

  async readLast(channel: string, count: number, onMessage: MessageHandler): Promise<void> {
    const etcd = new Etcd3({ hosts: this.#url });
    try {
      const { kvs } = await etcd.getAll().prefix(`${channel}/`).sort("Mod", "Descend").limit(count).exec();
      for (const keyValue of kvs) handle(keyValue, onMessage);
    } finally {
      etcd.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function handle({ value }: IKeyValue, onMessage: MessageHandler): void {
  const message = decodeJson(value.toString());
  onMessage(message.senderAgentId, message.responseTimeoutMs);
}
