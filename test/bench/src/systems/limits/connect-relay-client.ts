import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { decodeSignal, encodeSignal, numberOf } from "../../load/bench-signal.js";
import type { ReaderOptions, Sender, SystemClient } from "../system-client.js";
import { relayService } from "./connect-relay.js";
import { PendingAcknowledgements } from "./pending-acknowledgements.js";
import { type Publishing, relayWindowBytes } from "./relay.js";

/** Speaks to a relay through connect-node, over gRPC. */
export class ConnectRelayClient implements SystemClient {
  readonly #url: string;
  readonly #publishing: Publishing;

  constructor(url: string, publishing: Publishing) {
    this.#url = url;
    this.#publishing = publishing;
  }

  async openSender(_channel: string, senderAgentId: string): Promise<Sender> {
    const { relay, close } = this.#connect();
    if (this.#publishing === "stream") return streamSender(relay, senderAgentId, close);
    return {
      send: async (number) => {
        await relay.publishOne({ value: encodeSignal(senderAgentId, number) });
      },
      [Symbol.asyncDispose]: close,
    };
  }

  async openReader({ onMessage, onError }: ReaderOptions): Promise<AsyncDisposable> {
    const { relay, close } = this.#connect();
    const left = new AbortController();
    await new Promise<void>((resolve, reject) => {
      const read = async () => {
        for await (const { value } of relay.subscribe({}, { signal: left.signal })) {
          if (value.length === 0) {
            resolve();
            continue;
          }
          const signal = decodeSignal(value);
          onMessage(signal.senderAgentId, numberOf(signal));
        }
      };
      read().catch((error: unknown) => {
        reject(error);
        if (!left.signal.aborted) onError(error);
      });
    });
    const leave = async () => {
      left.abort();
      await close();
    };
    return { [Symbol.asyncDispose]: leave };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #connect() {
    const sessionManager = new Http2SessionManager(
      this.#url,
      {},
      { maxSessionMemory: 256, settings: { initialWindowSize: relayWindowBytes } },
    );
    const transport = createGrpcTransport({ baseUrl: this.#url, sessionManager, acceptCompression: [] });
    return { relay: createClient(relayService, transport), close: async () => sessionManager.abort() };
  }
}

function streamSender(relay: Client<typeof relayService>, senderAgentId: string, close: () => Promise<void>): Sender {
  const pending = new PendingAcknowledgements();
  const outgoing = new SignalQueue();
  const left = new AbortController();
  const read = async () => {
    for await (const { value } of relay.publish(outgoing, { signal: left.signal })) pending.acknowledged(value);
  };
  read().catch((error: unknown) => pending.fail(error));
  return {
    send: (number) => {
      outgoing.push(encodeSignal(senderAgentId, number));
      return pending.next();
    },
    [Symbol.asyncDispose]: async () => {
      left.abort();
      await close();
    },
  };
}

/** What waits to be taken by the stream; bounded by who sends. */
class SignalQueue implements AsyncIterable<{ readonly value: Uint8Array }> {
  #waiting: Uint8Array[] = [];
  #wake: (() => void) | undefined;

  push(signal: Uint8Array): void {
    this.#waiting.push(signal);
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      const signals = this.#waiting;
      this.#waiting = [];
      for (const value of signals) yield { value };
      if (this.#waiting.length > 0) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
