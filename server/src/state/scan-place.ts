import { leastOf } from "../model/cursor.js";
import type { LogEntry } from "../model/log-entry.js";
import { levelOf, priorityLevels } from "../model/priority-level.js";
import type { ScanRecord, SubscriptionDefinition } from "./subscription-record.js";

/** How far a named subscription has got in the log. */
export interface ScanPlace {
  /** The last sequence scanned; in order of priority one for each level, the most urgent first. */
  readonly positions: readonly bigint[];
  /** In order of priority: what each level below the most urgent is owed; see `LevelTurns`. */
  readonly turns?: readonly number[] | undefined;
}

/** Where a subscription stands that has got to a sequence. */
export function placeAt({ order }: Pick<SubscriptionDefinition, "order">, sequence: bigint): ScanPlace {
  return { positions: order === "priority" ? priorityLevels.map(() => sequence) : [sequence] };
}

/** What is stored of a place. */
export function scanOfPlace({ positions, turns }: ScanPlace): Omit<ScanRecord, "claims"> {
  const throughSequence = String(leastOf(positions));
  return positions.length === 1 ? { throughSequence } : { throughSequence, levels: positions.map(String), turns };
}

/** The place that was stored. */
export function placeOfScan({ throughSequence, levels, turns }: ScanRecord): ScanPlace {
  return { positions: (levels ?? [throughSequence]).map(BigInt), turns };
}

/** Whether a signal was scanned: then it was delivered or did not match. */
export function isScanned({ positions }: ScanPlace, { sequence, priority }: LogEntry): boolean {
  const [position = 0n] = positions.length === 1 ? positions : positions.slice(levelOf(priority));
  return sequence <= position;
}

/** The place with every position changed. */
export function movePlace(place: ScanPlace, move: (position: bigint) => bigint): ScanPlace {
  return { ...place, positions: place.positions.map(move) };
}
