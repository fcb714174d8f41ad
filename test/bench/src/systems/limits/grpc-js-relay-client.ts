import { once } from "node:events";
import { Client, credentials } from "@grpc/grpc-js";
import { decodeSignal, encodeSignal, numberOf } from "../../load/bench-signal.js";
import type { ReaderOptions, Sender, SystemClient } from "../system-client.js";
import { relayDefinition } from "./grpc-js-relay.js";
import { PendingAcknowledgements } from "./pending-acknowledgements.js";

const { publish, subscribe } = relayDefinition;

/** Speaks to a relay through @grpc/grpc-js. */
export class GrpcJsRelayClient implements SystemClient {
  readonly #address: string;

  constructor(url: string) {
    this.#address = new URL(url).host;
  }

  async openSender(_channel: string, senderAgentId: string): Promise<Sender> {
    const client = this.#connect();
    const pending = new PendingAcknowledgements();
    const stream = client.makeBidiStreamRequest(publish.path, publish.requestSerialize, publish.responseDeserialize);
    stream.on("data", (count: Buffer) => pending.acknowledged(count.readUInt32BE()));
    stream.on("error", (error) => pending.fail(error));
    return {
      send: (number) => {
        stream.write(Buffer.from(encodeSignal(senderAgentId, number)));
        return pending.next();
      },
      [Symbol.asyncDispose]: async () => {
        stream.cancel();
        client.close();
      },
    };
  }

  async openReader({ onMessage, onError }: ReaderOptions): Promise<AsyncDisposable> {
    const client = this.#connect();
    const stream = client.makeServerStreamRequest(
      subscribe.path,
      subscribe.requestSerialize,
      subscribe.responseDeserialize,
      Buffer.alloc(0),
    );
    let closed = false;
    const stands = once(stream, "data");
    stream.on("error", (error) => {
      if (!closed) onError(error);
    });
    await stands;
    stream.on("data", (bytes: Buffer) => {
      const signal = decodeSignal(bytes);
      onMessage(signal.senderAgentId, numberOf(signal));
    });
    const close = async () => {
      closed = true;
      stream.cancel();
      client.close();
    };
    return { [Symbol.asyncDispose]: close };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #connect(): Client {
    // Channels to one address share connections unless they are told not to.
    return new Client(this.#address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  }
}
