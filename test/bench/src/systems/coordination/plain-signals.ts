import { create } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import {
  type SendSignalRequest,
  SendSignalRequestSchema,
  SignalService,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { sendRequest } from "../../load/bench-signal.js";

/** The largest batch the contract allows. */
const batchSignals = 1_000;

/** The contract without the SDK, to fill a server quickly. Disposing of it closes its connection. */
export class PlainSignals implements Disposable {
  readonly #signals: Client<typeof SignalService>;
  readonly #sessionManager: Http2SessionManager;

  constructor(url: string) {
    this.#sessionManager = new Http2SessionManager(url, {}, { maxSessionMemory: 64 });
    const sessionManager = this.#sessionManager;
    this.#signals = createClient(
      SignalService,
      createGrpcTransport({ baseUrl: url, sessionManager, acceptCompression: [] }),
    );
  }

  /** Stores the messages `first` through `last` of one sender, in order; `requestOf` makes their requests. */
  async fill(
    coordinationId: string,
    { first, last }: { readonly first: number; readonly last: number },
    requestOf = sendRequest,
  ): Promise<void> {
    for (let from = first; from <= last; from += batchSignals) {
      const count = Math.min(batchSignals, last - from + 1);
      await this.send(Array.from({ length: count }, (_, index) => requestOf(coordinationId, "sender-0", from + index)));
    }
  }

  /** Introduces agents, so that signals can be addressed to them. */
  async introduce(coordinationId: string, agentIds: readonly string[]): Promise<void> {
    for (let from = 0; from < agentIds.length; from += batchSignals) {
      const requests = agentIds.slice(from, from + batchSignals).map((senderAgentId) =>
        create(SendSignalRequestSchema, {
          coordinationId,
          senderAgentId,
          event: { case: "agentInitialized", value: { ready: true } },
        }),
      );
      await this.send(requests);
    }
  }

  /** Sends one batch. Throws when one of its signals is refused. */
  async send(requests: SendSignalRequest[]): Promise<void> {
    const { results } = await this.#signals.batchSendSignals({ requests });
    const refused = results.find(({ result }) => result.case !== "response");
    if (refused?.result.case === "error") throw new Error(`a signal was refused: ${refused.result.value.message}`);
  }

  /** The highest position in a coordination. */
  async head(coordinationId: string): Promise<number> {
    return Number((await this.#signals.getSignalMetrics({ coordinationId })).headSequence);
  }

  [Symbol.dispose](): void {
    this.#sessionManager.abort();
  }
}
