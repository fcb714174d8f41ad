import { uuidv7 } from "uuidv7";
import { signalTypeSlots } from "../model/signal-type.js";
import type { CoordinationHeader } from "../store/signal-store.js";

/** The header of a coordination that begins now. */
export function newHeader(coordinationId: string, nowMs: number): CoordinationHeader {
  return {
    coordinationId,
    epoch: uuidv7(),
    revision: 0n,
    commits: 0n,
    generation: 0,
    headSequence: 0n,
    oldestSequence: 1n,
    trimmedThroughSequence: 0n,
    removedRanges: [],
    createTimeMs: nowMs,
    lastSignalTimeMs: 0,
    closeTimeMs: undefined,
    closeReason: "",
    sentByType: new Array<number>(signalTypeSlots).fill(0),
    endedWaits: 0,
  };
}
