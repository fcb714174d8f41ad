import type { Client, ContextValues } from "@connectrpc/connect";
import type { BatchSendSignalsResult, SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { cancelledError } from "../errors/cancelled-error.js";
import { errorFromConnect } from "../errors/error-from-connect.js";
import { requestRoute } from "../transport/call-route.js";
import { assertOneEach, type BatchAnswer, batchAnswerFrom, hasUnavailable } from "./batch-results.js";
import { maxBatchSignals } from "./send-limits.js";
import type { Delivery, OutgoingBatch, SendPipeline } from "./send-pipeline.js";

/** Delivers each batch by a BatchSendSignals call, one at a time: unary calls in flight together may overtake each other. */
export class UnarySendPipeline implements SendPipeline {
  readonly maxBatchesInFlight = 1;
  readonly maxBatchSignals = maxBatchSignals;
  readonly #client: Client<typeof SignalService>;
  readonly #timeoutMs: number;

  constructor(client: Client<typeof SignalService>, timeoutMs: number) {
    this.#client = client;
    this.#timeoutMs = timeoutMs;
  }

  deliver(batch: OutgoingBatch): Delivery {
    const abort = new AbortController();
    return { answered: this.#call(batch, abort.signal), cancel: (error) => abort.abort(error) };
  }

  async #call({ sends, atomic }: OutgoingBatch, signal: AbortSignal): Promise<BatchAnswer> {
    const routing = requestRoute();
    const { contextValues } = routing;
    const request = { requests: sends.map(({ request }) => request), atomic };
    const answer = batchAnswerFrom(await this.#results(request, { signal, contextValues }));
    if (hasUnavailable(answer)) routing.route?.leave();
    assertOneEach(answer, sends.length);
    return answer;
  }

  async #results(
    request: Parameters<Client<typeof SignalService>["batchSendSignals"]>[0],
    options: { readonly signal: AbortSignal; readonly contextValues: ContextValues },
  ): Promise<readonly BatchSendSignalsResult[]> {
    try {
      const { results } = await this.#client.batchSendSignals(request, { ...options, timeoutMs: this.#timeoutMs });
      return results;
    } catch (thrown) {
      throw options.signal.aborted ? cancelledError(options.signal) : errorFromConnect(thrown);
    }
  }
}
