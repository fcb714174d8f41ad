import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type SendSignalRequest,
  SendSignalRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { LogEntry } from "../../server/src/model/log-entry.js";
import { prepareSignal } from "../../server/src/model/prepare-signals.js";
import { placeSignal } from "../../server/src/model/prepared-signal.js";
import type {
  CoordinationChange,
  CoordinationHeader,
  CoordinationRemoval,
} from "../../server/src/store/signal-store.js";

/** What a test can say of a request. */
export type RequestParts = Exclude<MessageInitShape<typeof SendSignalRequestSchema>, SendSignalRequest>;

/** A message from "sender" to everyone, with what a test wants to be different. */
export function messageRequest(overrides: RequestParts = {}): SendSignalRequest {
  return create(SendSignalRequestSchema, {
    coordinationId: "c",
    senderAgentId: "sender",
    event: { case: "interAgentMessage", value: { messageType: "note", message: "hello" } },
    ...overrides,
  });
}

/** The entry that a request would make at a sequence. */
export function entryAt(sequence: bigint, request: RequestParts = {}): LogEntry {
  return placeSignal(prepareSignal(messageRequest(request)), {
    signalId: Buffer.from(`signal-${sequence}`),
    sequence,
    timestampMs: 1_700_000_000_000 + Number(sequence),
    acceptedAtMs: 0,
  });
}

/** A header of coordination "c" with what a test wants to be different. */
export function headerOf(overrides: Partial<CoordinationHeader> = {}): CoordinationHeader {
  return {
    coordinationId: "c",
    epoch: "01890000-0000-7000-8000-000000000001",
    revision: 1n,
    commits: 1n,
    generation: 0,
    headSequence: 0n,
    oldestSequence: 1n,
    trimmedThroughSequence: 0n,
    removedRanges: [],
    createTimeMs: 1_700_000_000_000,
    lastSignalTimeMs: 0,
    closeTimeMs: undefined,
    closeReason: "",
    endedWaits: 0,
    sentByType: [0, 0, 0, 0, 0],
    ...overrides,
  };
}

/** Makes commit parts, each on the version that the one before it left, as a coordination's only writer does. */
export class PartWriter {
  readonly #headers = new Map<string, CoordinationHeader>();

  /** A part that appends entries and moves the head to the last of them. */
  write(
    entries: readonly LogEntry[],
    header: Partial<CoordinationHeader> = {},
    rest: Partial<Pick<CoordinationChange, "records" | "removeAfterSequence" | "trimRecords">> = {},
  ): CoordinationChange {
    const before = this.#headers.get(header.coordinationId ?? "c");
    const written = {
      ...(before ?? headerOf({ revision: 0n, commits: 0n })),
      headSequence: entries.at(-1)?.sequence ?? before?.headSequence ?? 0n,
      revision: (before?.revision ?? 0n) + 1n,
      commits: (before?.commits ?? 0n) + 1n,
      ...header,
    };
    this.#headers.set(written.coordinationId, written);
    const expected = before && { epoch: before.epoch, commits: before.commits };
    return { action: "write", expected, header: written, entries, records: [], ...rest };
  }

  /** A part that removes a coordination. */
  remove(coordinationId: string): CoordinationRemoval {
    const { epoch, commits } = this.#headers.get(coordinationId) ?? headerOf();
    this.#headers.delete(coordinationId);
    return { action: "remove", coordinationId, expected: { epoch, commits } };
  }

  /** The header as it was written last. */
  header(coordinationId: string): CoordinationHeader | undefined {
    return this.#headers.get(coordinationId);
  }
}
