import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "@jest/globals";
import { retryPolicyFrom } from "../../../../client-sdk/src/calls/retry-policy.js";
import { OpenResources } from "../../../../client-sdk/src/open-resources.js";
import type { BatchAnswer } from "../../../../client-sdk/src/sending/batch-results.js";
import { encodeSend } from "../../../../client-sdk/src/sending/encode-send.js";
import type { Delivery, SendPipeline } from "../../../../client-sdk/src/sending/send-pipeline.js";
import { SignalSender } from "../../../../client-sdk/src/sending/signal-sender.js";
import { ManualClock } from "../support/manual-clock.js";

const rounds = 20_000;
const roundsBetweenCollections = 250;
/** What each answer holds, in bytes of heap. */
const answerBytes = 1_000;
/** Three batches are on their way at any time. */
const batchesOnTheirWay = 3;

setFlagsFromString("--expose-gc");
const collect: (options: { readonly type: "minor" | "major" }) => void = runInNewContext("gc");

/** Answers the oldest batch when there are more than so many, so that some are always on their way. */
class OverlappingPipeline implements SendPipeline {
  readonly maxBatchesInFlight = batchesOnTheirWay + 1;
  readonly maxBatchSignals = 1;
  readonly #unanswered: ((answer: BatchAnswer) => void)[] = [];

  deliver(): Delivery {
    const answered = new Promise<BatchAnswer>((resolve) => this.#unanswered.push(resolve));
    if (this.#unanswered.length > batchesOnTheirWay) this.answerOldest();
    return { answered, cancel: () => undefined };
  }

  get hasUnanswered(): boolean {
    return this.#unanswered.length > 0;
  }

  answerOldest(): void {
    const signalId = String.fromCharCode(...new Array<number>(answerBytes).fill(97));
    const stored = { signalId, sequence: 1n, timestamp: new Date(0), cursor: "", epoch: "", deduplicated: false };
    this.#unanswered.shift()?.({ outcomes: [stored], hasErrors: false });
  }
}

function createSender(pipeline: SendPipeline): SignalSender {
  return new SignalSender({
    pipeline,
    retry: retryPolicyFrom(),
    clock: new ManualClock(),
    maxQueuedSignals: 100,
    maxQueuedBytes: 1_000_000,
    closeTimeoutMs: 1_000,
    open: new OpenResources(),
  });
}

function heapBytes(): number {
  return process.memoryUsage().heapUsed;
}

describe("SignalSender", () => {
  test("keeps nothing of what was answered from the next collection of young objects, while others are on their way", async () => {
    const pipeline = new OverlappingPipeline();
    const sender = createSender(pipeline);
    const event = { case: "interAgentMessage", value: { messageType: "note", message: "" } } as const;
    const send = encodeSend({ coordinationId: "c", agentId: "agent" }, { event });
    const run = async () => {
      for (let round = 1; round <= rounds; round += 1) {
        void sender.send(send, undefined);
        await Promise.resolve();
        await Promise.resolve();
        if (round % roundsBetweenCollections === 0) collect({ type: "minor" });
      }
    };
    await run();
    collect({ type: "major" });
    const before = heapBytes();
    await run();
    collect({ type: "minor" });
    const grownBy = heapBytes() - before;
    while (pipeline.hasUnanswered) {
      pipeline.answerOldest();
      await Promise.resolve();
    }
    await sender.close();
    expect(grownBy).toBeLessThan((rounds * answerBytes) / 4);
  });
});
