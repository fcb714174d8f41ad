import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { BatchSendSignalsResponseSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { StoredSignal } from "../../../../server/src/coordination/stored-signal.js";
import { CoordinationError } from "../../../../server/src/model/coordination-error.js";
import { LogEntry } from "../../../../server/src/model/log-entry.js";
import { prepareSignal } from "../../../../server/src/model/prepare-signals.js";
import { placeSignal } from "../../../../server/src/model/prepared-signal.js";
import { batchResponse, type SendOutcome } from "../../../../server/src/rpc/batch-response.js";
import { messageRequest } from "../../../support/log-entries.js";

const epoch = "0193a0c0-0000-7000-8000-000000000001";
const signalId = "0193a0c0-0000-7000-8000-00000000000f";

interface Parts {
  readonly sequence?: bigint;
  readonly timestampMs?: number;
  readonly isDeduplicated?: boolean;
  readonly epoch?: string;
  /** Whether the store was asked for it. */
  readonly isReadBack?: boolean;
}

function stored(parts: Parts = {}): SendOutcome {
  const placed = placeSignal(prepareSignal(messageRequest()), {
    signalId: Buffer.from(signalId),
    sequence: parts.sequence ?? 1n,
    timestampMs: parts.timestampMs ?? 1_700_000_000_123,
    acceptedAtMs: 0,
  });
  const entry = parts.isReadBack ? new LogEntry({ sequence: placed.sequence, bytes: placed.bytes }) : placed;
  return { stored: new StoredSignal(entry, parts.isDeduplicated ?? false, parts.epoch ?? epoch) };
}

const refused = (message: string): SendOutcome => ({
  error: new CoordinationError("SEQUENCE_CONFLICT", message, { metadata: { head_sequence: "7" }, retryDelayMs: 100 }),
});

const cases: readonly (readonly [string, readonly SendOutcome[]])[] = [
  ["nothing", []],
  ["one stored signal", [stored()]],
  [
    "the extremes of a place",
    [stored({ sequence: 2n ** 63n - 1n, timestampMs: 253_402_300_799_999 }), stored({ timestampMs: 0 })],
  ],
  ["a repeated request", [stored({ isDeduplicated: true, timestampMs: 1_000 })]],
  ["one that the store was asked for", [stored(), stored({ isDeduplicated: true, isReadBack: true }), stored()]],
  ["epochs longer and shorter than this server's", [stored({ epoch: "e".repeat(100) }), stored({ epoch: "" })]],
  ["a refusal", [refused("no")]],
  [
    "refusals among stored signals",
    [stored(), refused("x".repeat(1_000)), stored({ sequence: 2n }), refused(""), stored()],
  ],
];

describe("batchResponse", () => {
  test.each(cases)("says the same in bytes as in messages of %s", (_, outcomes) => {
    const readable = batchResponse(outcomes, false);
    expect(readable.results).toHaveLength(outcomes.length);
    const encoded = fromBinary(
      BatchSendSignalsResponseSchema,
      toBinary(BatchSendSignalsResponseSchema, batchResponse(outcomes, true)),
    );
    expect(encoded).toEqual(readable);
  });
});
