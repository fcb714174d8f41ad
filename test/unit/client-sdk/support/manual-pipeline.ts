import { create } from "@bufbuild/protobuf";
import {
  type BatchSendSignalsResult,
  BatchSendSignalsResultSchema,
  type SendSignalRequest,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { type BatchAnswer, batchAnswerFrom } from "../../../../client-sdk/src/sending/batch-results.js";
import type { Delivery, OutgoingBatch, SendPipeline } from "../../../../client-sdk/src/sending/send-pipeline.js";
import { type ContractError, contractStatus } from "./contract-errors.js";
import { stored } from "./scripted-log.js";

/** A batch that was delivered and waits for the test to answer it. */
export interface DeliveredBatch extends OutgoingBatch {
  readonly requests: readonly SendSignalRequest[];
  /** The messages of its signals. */
  readonly texts: readonly string[];
  readonly signal: AbortSignal;
  /** Stores all signals, except those whose message has an error here. */
  readonly answer: (errors?: Readonly<Record<string, ContractError>>) => void;
  /** Fails the batch as a whole. */
  readonly fail: (error: unknown) => void;
}

/** A pipeline whose batches a test answers by hand. */
export class ManualPipeline implements SendPipeline {
  readonly maxBatchesInFlight: number;
  readonly maxBatchSignals: number;
  /** All batches so far. */
  readonly batches: DeliveredBatch[] = [];
  readonly #waiting: (() => void)[] = [];
  #onBatch: (batch: DeliveredBatch) => void = () => undefined;

  constructor(maxBatchesInFlight = 1, maxBatchSignals = 1_000) {
    this.maxBatchesInFlight = maxBatchesInFlight;
    this.maxBatchSignals = maxBatchSignals;
  }

  deliver(batch: OutgoingBatch): Delivery {
    const requests = batch.sends.map(({ request }) => request);
    const texts = requests.map(({ event }) => (event.case === "interAgentMessage" ? event.value.message : ""));
    const controller = new AbortController();
    const { signal } = controller;
    const answered = new Promise<BatchAnswer>((resolve, reject) => {
      const answer: DeliveredBatch["answer"] = (errors = {}) =>
        resolve(batchAnswerFrom(texts.map((text) => resultOf(text, errors[text]))));
      const delivered = { ...batch, requests, texts, signal, answer, fail: reject };
      this.batches.push(delivered);
      for (const wake of this.#waiting.splice(0)) wake();
      this.#onBatch(delivered);
    });
    return { answered, cancel: (error) => controller.abort(error) };
  }

  /** Answers every batch from now on. */
  answerWith(onBatch: (batch: DeliveredBatch) => void): void {
    this.#onBatch = onBatch;
  }

  /** Waits for the batch of this number, from 0. */
  async batch(number: number): Promise<DeliveredBatch> {
    for (;;) {
      const batch = this.batches[number];
      if (batch !== undefined) return batch;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

function resultOf(text: string, error: ContractError | undefined): BatchSendSignalsResult {
  if (error !== undefined) {
    return create(BatchSendSignalsResultSchema, { result: { case: "error", value: contractStatus(error) } });
  }
  const { result } = stored(1);
  return create(BatchSendSignalsResultSchema, {
    result: { case: "response", value: { ...result.value, signalId: `stored ${text}` } },
  });
}
