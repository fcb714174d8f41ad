/** A named subscription as a server would serve it: batches with deliveries, and what consumers say of them. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import {
  AckAction,
  type Acknowledgement,
  type AcknowledgementResultSchema,
} from "@coordination-signals/proto/coordination/v1/acknowledgement";
import type {
  AcknowledgeSignalsRequest,
  SubscribeRequest,
  SubscribeResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { contractStatus } from "./contract-errors.js";
import { createLatch } from "./latch.js";
import { signalAt, subscribed } from "./scripted-log.js";
import { clientLeft, type Script } from "./scripted-server.js";

type Result = MessageInitShape<typeof AcknowledgementResultSchema>;

/** Deliveries of these signals in one batch. */
export function delivered(sequences: readonly number[], attempt = 1): MessageInitShape<typeof SubscribeResponseSchema> {
  const signals = sequences.map((sequence) => signalAt(sequence));
  const deliveries = sequences.map((sequence) => ({
    deliveryId: `${sequence}.${attempt}`,
    attempt,
    deadline: timestampFromMs(30_000),
  }));
  const range = { afterSequence: 0n, throughSequence: BigInt(Math.max(0, ...sequences)) };
  return { item: { case: "batch", value: { signals, deliveries, cursor: "", ...range } } };
}

/** Refuses an acknowledgement; ACK_EXPIRED tells its cause. */
export function refused(reason: "ACK_EXPIRED" | "NOT_DELIVERED", cause?: string): Result {
  const metadata = cause === undefined ? {} : { cause };
  return { error: contractStatus({ code: Code.FailedPrecondition, reason, metadata }) };
}

/** What was asked of a scripted named subscription. */
export interface ScriptedWork {
  readonly script: Script;
  readonly subscribes: SubscribeRequest[];
  readonly acknowledges: AcknowledgeSignalsRequest[];
  /** All that was said, in order: "ack 1.1", "nack 2.1 because". */
  readonly said: string[];
  /** Resolves when the client has left the first stream, with how much had been said by then. */
  readonly leftAfter: Promise<number>;
  /** Resolves once so much was said. */
  saidSoMuch(count: number): Promise<void>;
}

/** Each stream gets the next list of sequences, one attempt later than the stream before, and stays open. */
export function scriptedWork(
  streams: readonly (readonly number[])[],
  answer: (acknowledgement: Acknowledgement) => Result = () => ({}),
): ScriptedWork {
  const subscribes: SubscribeRequest[] = [];
  const acknowledges: AcknowledgeSignalsRequest[] = [];
  const said: string[] = [];
  const left = createLatch<number>();
  const waiting: (() => void)[] = [];
  const script: Script = {
    signals: {
      async *subscribe(request, context) {
        subscribes.push(request);
        const attempt = subscribes.length;
        yield subscribed(0, "");
        const sequences = streams[attempt - 1] ?? [];
        if (sequences.length > 0) yield delivered(sequences, attempt);
        await clientLeft(context).finally(() => left.open(said.length));
      },
      acknowledgeSignals: (request) => {
        acknowledges.push(request);
        said.push(...request.acknowledgements.map(textOf));
        for (const wake of waiting.splice(0)) wake();
        return { results: request.acknowledgements.map(answer) };
      },
    },
  };
  const saidSoMuch = async (count: number) => {
    while (said.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  return { script, subscribes, acknowledges, said, leftAfter: left.promise, saidSoMuch };
}

function textOf({ action, deliveryId, reason }: Acknowledgement): string {
  return [AckAction[action].toLowerCase(), deliveryId, reason].filter((part) => part !== "").join(" ");
}
