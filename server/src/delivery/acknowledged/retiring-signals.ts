import { setImmediate } from "node:timers/promises";
import { laterOf } from "../../model/cursor.js";
import { maxDeadLetters } from "../../model/limits.js";
import type { LogEntry } from "../../model/log-entry.js";
import type { Draft } from "../../state/draft.js";
import type { NamedSubscriptions } from "../../state/named-subscriptions.js";
import { isScanned, placeAt, placeOfScan, type ScanPlace } from "../../state/scan-place.js";
import type { SubscriptionRecord } from "../../state/subscription-record.js";
import { levelIn } from "./signal-picker.js";
import type { SubscriptionMatcher, SubscriptionMatchers } from "./subscription-matcher.js";

/*
 * Trimming waits for nobody. A signal that leaves the store before a named subscription has settled it becomes a dead letter in
 * the same commit, with its bytes. Which signals nobody has looked at yet are a subscription's is found out before the lock is
 * taken: filters may be dear, and the signals do not change.
 */

/** Signals that are about to leave the store, and whose they are. */
export class RetiringSignals {
  readonly #leaving: readonly LogEntry[];
  readonly #through: bigint;
  /** By the subscriptions' secrets; those that have scanned everything are not there. */
  readonly #matching: ReadonlyMap<string, readonly LogEntry[]>;

  private constructor(fields: {
    readonly leaving: readonly LogEntry[];
    readonly through: bigint;
    readonly matching: ReadonlyMap<string, readonly LogEntry[]>;
  }) {
    this.#leaving = fields.leaving;
    this.#through = fields.through;
    this.#matching = fields.matching;
  }

  /** Finds out which of the signals through a sequence are whose. */
  static async of(
    named: NamedSubscriptions,
    leaving: readonly LogEntry[],
    { through, matchers }: { readonly through: bigint; readonly matchers: SubscriptionMatchers },
  ): Promise<RetiringSignals> {
    const matching = new Map<string, readonly LogEntry[]>();
    for (const record of [...named.definitions.values()]) {
      const scan = named.scans.get(record.name);
      const place = scan === undefined ? placeAt(record, 0n) : placeOfScan(scan);
      if (hasPassed(place, through)) continue;
      matching.set(record.secret, await matchingAfter(place, leaving, matchers.of(record)));
      // Many filters must not keep everybody else from running.
      await setImmediate();
    }
    return new RetiringSignals({ leaving, through, matching });
  }

  /**
   * Makes dead letters of what is not settled. Returns how many, or undefined where a subscription is there that was not
   * looked at: then nothing may be trimmed yet.
   */
  bury(draft: Draft, nowMs: number): number | undefined {
    let buried = 0;
    for (const record of [...draft.subscriptions.all()]) {
      const count = this.#buryOf(draft, record, nowMs);
      if (count === undefined) return undefined;
      buried += count;
    }
    return buried;
  }

  #buryOf(draft: Draft, record: SubscriptionRecord, nowMs: number): number | undefined {
    const { name } = record;
    const place = placeOfScan(draft.subscriptions.scan(name));
    const matching = hasPassed(place, this.#through) ? [] : this.#matching.get(record.secret);
    if (matching === undefined) return undefined;
    let buried = 0;
    const unsettled = this.#leaving.filter((entry) => isScanned(place, entry));
    for (const entry of draft.subscriptions.hasDeliveries(name) ? unsettled : []) {
      const delivery = draft.subscriptions.delivery(name, entry.sequence);
      if (delivery === undefined || delivery.isHeld) continue;
      const { attempt: attempts, firstTimeMs, lastTimeMs, detail = "" } = delivery;
      putLetter(draft, record, entry, { nowMs, attempts, firstTimeMs, lastTimeMs, detail });
      buried += 1;
    }
    if (hasPassed(place, this.#through)) return buried;
    const unseen = matching.filter((entry) => !isScanned(place, entry));
    // Only so many can stay: newer ones of the same commit need their place.
    const dropped = unseen.slice(0, Math.max(0, unseen.length - maxDeadLetters));
    const lastDropped = dropped.at(-1);
    if (lastDropped !== undefined) {
      draft.subscriptions.dropUnmade(name, { count: dropped.length, through: lastDropped.sequence });
    }
    for (const entry of unseen.slice(dropped.length))
      putLetter(draft, record, entry, { nowMs, attempts: 0, detail: "" });
    draft.subscriptions.movePlace(name, (position) => laterOf(position, this.#through));
    return buried + unseen.length;
  }
}

/** Whether everything through a sequence was scanned, whatever its priority. */
function hasPassed({ positions }: ScanPlace, through: bigint): boolean {
  return positions.every((position) => position >= through);
}

function putLetter(
  draft: Draft,
  subscription: SubscriptionRecord,
  entry: LogEntry,
  what: {
    readonly nowMs: number;
    readonly attempts: number;
    readonly detail: string;
    readonly firstTimeMs?: number | undefined;
    readonly lastTimeMs?: number | undefined;
  },
): void {
  const { nowMs, ...rest } = what;
  const { name } = subscription;
  const { sequence, bytes } = entry;
  const level = levelIn(subscription, entry);
  draft.subscriptions.bury(
    { subscription: name, sequence: String(sequence), cause: "retention", level, createTimeMs: nowMs, ...rest },
    bytes,
    maxDeadLetters,
  );
}

async function matchingAfter(
  place: ScanPlace,
  leaving: readonly LogEntry[],
  matcher: SubscriptionMatcher,
): Promise<readonly LogEntry[]> {
  const matching: LogEntry[] = [];
  for (const entry of leaving) {
    if (isScanned(place, entry)) continue;
    const turn = matcher.turns?.nextIfOver();
    if (turn !== undefined) await turn;
    // A filter that is too dear to say so says nothing against it: what is kept can still be looked at.
    if (matcher.ask(entry) !== false) matching.push(entry);
  }
  return matching;
}
