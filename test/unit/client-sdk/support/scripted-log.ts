/** A log of signals held in memory, and the items a subscription to it sends. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type CoordinationSignal, CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import type {
  BatchSendSignalsRequest,
  BatchSendSignalsResponseSchema,
  SubscribeResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";

type Item = MessageInitShape<typeof SubscribeResponseSchema>;

export const epoch = "0193a0c0-0000-7000-8000-000000000001";

/** A signal that says which it is. */
export function signalAt(sequence: number, message = `message ${sequence}`): CoordinationSignal {
  return create(CoordinationSignalSchema, {
    signalId: `signal-${sequence}`,
    coordinationId: "c",
    sequence: BigInt(sequence),
    senderAgentId: "sender",
    timestamp: timestampFromMs(1_000 * sequence),
    event: { case: "interAgentMessage", value: { messageType: "note", message } },
  });
}

export function subscribed(headSequence: number, cursor = cursorAt(0), logEpoch = epoch): Item {
  return {
    item: { case: "subscribed", value: { epoch: logEpoch, headSequence: BigInt(headSequence), cursor } },
  };
}

/** The signals numbered so, out of the range after one sequence through another. */
export function batch(after: number, through: number, sequences: readonly number[]): Item {
  return {
    item: {
      case: "batch",
      value: {
        signals: sequences.map((sequence) => signalAt(sequence)),
        cursor: cursorAt(through),
        afterSequence: BigInt(after),
        throughSequence: BigInt(through),
      },
    },
  };
}

export function checkpoint(after: number, through: number): Item {
  return {
    item: {
      case: "checkpoint",
      value: { afterSequence: BigInt(after), throughSequence: BigInt(through), cursor: cursorAt(through) },
    },
  };
}

export function caughtUp(through: number): Item {
  return { item: { case: "caughtUp", value: { throughSequence: BigInt(through), cursor: cursorAt(through) } } };
}

/** A cursor as a server would make it: opaque to the client. */
export function cursorAt(sequence: number): string {
  return `cursor${sequence}`;
}

/** Answers every signal of a batch as stored, numbered from `first`. */
export function storeAll(
  request: BatchSendSignalsRequest,
  first = 1,
): MessageInitShape<typeof BatchSendSignalsResponseSchema> {
  return { results: request.requests.map((_, index) => stored(first + index)) };
}

export function stored(sequence: number) {
  return {
    result: {
      case: "response" as const,
      value: {
        signalId: `signal-${sequence}`,
        sequence: BigInt(sequence),
        timestamp: timestampFromMs(1_000 * sequence),
        deduplicated: false,
        epoch,
      },
    },
  };
}
