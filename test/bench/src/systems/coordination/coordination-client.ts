import {
  type CoordinationSession,
  createCoordinationClient,
  type SendOptions,
  type SendResult,
} from "@coordination-signals/client";
import { messageText, messageType } from "../../load/bench-message.js";
import { numberOf } from "../../load/bench-signal.js";
import type { MessageHandler, ReaderOptions, Sender, SystemClient } from "../system-client.js";

/** The largest page of history. */
const pageSize = 1_000;

/** Uses the coordination server as its users do: through the SDK. A channel is a coordination. */
export class CoordinationSystemClient implements SystemClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async openSender(channel: string, senderAgentId: string): Promise<Sender> {
    const client = createCoordinationClient({ baseUrl: this.#url });
    const session = client.coordination(channel, { agentId: senderAgentId });
    await session.register();
    return { send: (number) => sendMessage(session, number), [Symbol.asyncDispose]: () => client.close() };
  }

  async openReader({ channel, readerAgentId, from, onMessage, onError }: ReaderOptions): Promise<AsyncDisposable> {
    const client = createCoordinationClient({ baseUrl: this.#url });
    const signals = client.coordination(channel, { agentId: readerAgentId }).subscribe({ from });
    await signals.ready();
    const reading = (async () => {
      for await (const signal of signals) onMessage(signal.senderAgentId, numberOf(signal));
    })().catch(onError);
    const close = async () => {
      await client.close();
      await reading;
    };
    return { [Symbol.asyncDispose]: close };
  }

  async readLast(channel: string, count: number, onMessage: MessageHandler): Promise<void> {
    await using client = createCoordinationClient({ baseUrl: this.#url });
    const history = client.coordination(channel).history({ limit: count, pageSize });
    for await (const signal of history) onMessage(signal.senderAgentId, numberOf(signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Sends one of the bench's messages as an author of an agent would. */
export function sendMessage(session: CoordinationSession, number: number, options?: SendOptions): Promise<SendResult> {
  return session.message({ messageType, message: messageText, responseTimeoutMs: number }, options);
}
