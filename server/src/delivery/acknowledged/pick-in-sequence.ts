import { maxBatchSignals, maxResponseBytes } from "../../model/limits.js";
import type { LogEntry } from "../../model/log-entry.js";
import { readLogAfter } from "../../state/read-log.js";
import type { DeliveryRecord } from "../../state/subscription-record.js";
import { readDue } from "./read-due.js";
import type { PendingSignal, Picked, PickSource, SignalPicker } from "./signal-picker.js";
import type { SubscriptionMatcher } from "./subscription-matcher.js";

// Signals that are read beyond those that can be handed out, because some do not match.
const leastReadAhead = 16;

/** Picks those that were delivered before, then the log in its order, as far as there is room. */
export function sequencePicker(source: PickSource): SignalPicker {
  const { environment, session, matcher, departure } = source;
  let readAhead = leastReadAhead;
  return {
    async pick({ positions: [position = 0n] }, { due, room, capacity }) {
      const again = await readAllDue(source, due.slice(0, capacity));
      const turn = matcher.turns?.nextIfOver(departure);
      if (turn !== undefined) await turn;
      const maxEntries = Math.min(maxBatchSignals, capacity + readAhead);
      const part = await readLogAfter(environment.reader, session, position, { maxEntries });
      const ordinary = Math.min(room.ordinary, capacity - again.length);
      const picked = pickNext(part.entries, { matcher, position, room: ordinary });
      const hasFound = picked.signals.length > 0 || picked.isHeldUp;
      readAhead = hasFound ? leastReadAhead : Math.min(maxBatchSignals, readAhead * 2);
      const place = part.entries.length === 0 ? { positions: [part.throughSequence] } : picked.place;
      return { ...picked, place, signals: [...again, ...picked.signals] };
    },
  };
}

/** What of a stretch of the log comes next, until there is no room, the filter cannot say or this turn's evaluations are over. */
function pickNext(
  log: readonly LogEntry[],
  {
    matcher,
    position,
    room,
  }: { readonly matcher: SubscriptionMatcher; readonly position: bigint; readonly room: number },
): Picked {
  const signals: PendingSignal[] = [];
  let through = position;
  for (const entry of log) {
    if (matcher.turns?.isOver && through > position) break;
    const answer = matcher.ask(entry);
    if (answer === true) {
      if (signals.length >= room) return { signals, unanswered: [], place: { positions: [through] }, isHeldUp: true };
      signals.push({ is: "new", entry });
    }
    through = entry.sequence;
    if (typeof answer !== "boolean") {
      return { signals, unanswered: [{ entry, error: answer }], place: { positions: [through] }, isHeldUp: false };
    }
  }
  return { signals, unanswered: [], place: { positions: [through] }, isHeldUp: false };
}

async function readAllDue(source: PickSource, records: readonly DeliveryRecord[]): Promise<readonly PendingSignal[]> {
  const due: PendingSignal[] = [];
  let bytes = 0;
  for (const record of records) {
    if (bytes >= maxResponseBytes) break;
    const entry = await readDue(source, record);
    if (entry === undefined) continue;
    due.push({ is: "due", record, entry });
    bytes += entry.bytes.length;
  }
  return due;
}
