import { setImmediate } from "node:timers/promises";
import { CoordinationError } from "../model/coordination-error.js";
import { maxReceiptSignals } from "../model/limits.js";
import type { LogEntry } from "../model/log-entry.js";
import type { LogReader } from "../state/log-reader.js";
import { removedRangeAt } from "../state/removed-ranges.js";
import type { CoordinationHeader } from "../store/signal-store.js";

/** Where a sequence is: in history, or why not. */
export type SignalPlace = "inHistory" | "trimmed" | "rolledBack" | "notSent";

/** Where a sequence is in a log. */
export function placeOf(header: CoordinationHeader, sequence: bigint): SignalPlace {
  if (sequence > header.headSequence) return "notSent";
  if (sequence < header.oldestSequence) return "trimmed";
  const removed = removedRangeAt(header.removedRanges, { sequence, generation: undefined });
  return removed === undefined ? "inHistory" : "rolledBack";
}

/** Reads a signal by its sequence. Throws SIGNAL_NOT_FOUND. */
export async function signalAtSequence(
  reader: LogReader,
  header: CoordinationHeader,
  sequence: bigint,
): Promise<LogEntry> {
  const place = placeOf(header, sequence);
  const entry = place === "inHistory" ? await storedSignal(reader, header, sequence) : undefined;
  if (entry === undefined) throw signalNotFound(header, `sequence ${sequence}`, place);
  return entry;
}

/** Reads a signal for as long as the store has it, in history or not; undefined where it is not in the store. */
export async function storedSignal(
  reader: LogReader,
  header: CoordinationHeader,
  sequence: bigint,
): Promise<LogEntry | undefined> {
  if (sequence <= header.trimmedThroughSequence || sequence > header.headSequence) return undefined;
  try {
    const [entry] = await reader.forward(header, { fromSequence: sequence - 1n, maxEntries: 1 });
    return entry?.sequence === sequence ? entry : undefined;
  } catch (error) {
    // It was trimmed while it was read.
    if (error instanceof CoordinationError && error.reason === "CURSOR_EXPIRED") return undefined;
    throw error;
  }
}

/** Looks for a signal by its id, from the newest on. Throws SIGNAL_NOT_FOUND. */
export async function signalWithId(reader: LogReader, header: CoordinationHeader, signalId: string): Promise<LogEntry> {
  const wanted = signalId.toLowerCase();
  let fromSequence = header.headSequence + 1n;
  for (let read = 0; read < maxReceiptSignals && fromSequence > header.oldestSequence; ) {
    const entries = await reader.backward(header, { fromSequence });
    const found = entries.find(({ signal }) => signal.signalId === wanted);
    if (found !== undefined && found.sequence >= header.oldestSequence) return found;
    const last = entries.at(-1);
    if (last === undefined) break;
    read += entries.length;
    fromSequence = last.sequence;
    await setImmediate();
  }
  throw signalNotFound(header, `id ${signalId}`, "inHistory");
}

const reasons: Readonly<Record<SignalPlace, string>> = {
  inHistory: "is not in history",
  trimmed: "has left the history",
  rolledBack: "was rolled back",
  notSent: "was not sent yet",
};

function signalNotFound(header: CoordinationHeader, name: string, place: SignalPlace): CoordinationError {
  const { coordinationId, oldestSequence, headSequence } = header;
  return new CoordinationError(
    "SIGNAL_NOT_FOUND",
    `the signal with ${name} of coordination "${coordinationId}" ${reasons[place]}`,
    { metadata: { oldest_sequence: String(oldestSequence), head_sequence: String(headSequence) } },
  );
}
