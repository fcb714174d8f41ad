import { setImmediate } from "node:timers/promises";
import { maxDeadLetters } from "../../model/limits.js";
import type { LogEntry } from "../../model/log-entry.js";
import type { Draft } from "../../state/draft.js";
import type { NamedSubscriptions } from "../../state/named-subscriptions.js";
import type { SubscriptionRecord } from "../../state/subscription-record.js";
import type { SubscriptionMatchers } from "./subscription-matcher.js";

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
      const scanned = BigInt(named.scans.get(record.name)?.throughSequence ?? 0);
      if (scanned >= through) continue;
      matching.set(record.secret, matchingAfter(scanned, leaving, { record, matchers }));
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
    const scan = draft.subscriptions.scan(name);
    const scanned = BigInt(scan.throughSequence);
    const matching = scanned >= this.#through ? [] : this.#matching.get(record.secret);
    if (matching === undefined) return undefined;
    let buried = 0;
    const unsettled = this.#leaving.filter(({ sequence }) => sequence <= scanned);
    for (const entry of draft.subscriptions.hasDeliveries(name) ? unsettled : []) {
      const delivery = draft.subscriptions.delivery(name, entry.sequence);
      if (delivery === undefined || delivery.isHeld) continue;
      const { attempt: attempts, firstTimeMs, lastTimeMs, detail = "" } = delivery;
      putLetter(draft, record, entry, { nowMs, attempts, firstTimeMs, lastTimeMs, detail });
      buried += 1;
    }
    if (scanned >= this.#through) return buried;
    const unseen = matching.filter(({ sequence }) => sequence > scanned);
    // Only so many can stay.
    const dropped = Math.max(0, unseen.length - maxDeadLetters);
    if (dropped > 0) draft.subscriptions.countDropped(dropped);
    for (const entry of unseen.slice(dropped)) putLetter(draft, record, entry, { nowMs, attempts: 0, detail: "" });
    draft.subscriptions.putScan(name, { ...scan, throughSequence: String(this.#through) });
    return buried + unseen.length;
  }
}

function putLetter(
  draft: Draft,
  { name }: SubscriptionRecord,
  { sequence, bytes }: LogEntry,
  what: {
    readonly nowMs: number;
    readonly attempts: number;
    readonly detail: string;
    readonly firstTimeMs?: number | undefined;
    readonly lastTimeMs?: number | undefined;
  },
): void {
  const { nowMs, ...rest } = what;
  draft.subscriptions.bury(
    { subscription: name, sequence: String(sequence), cause: "retention", createTimeMs: nowMs, ...rest },
    bytes,
    maxDeadLetters,
  );
}

function matchingAfter(
  scanned: bigint,
  leaving: readonly LogEntry[],
  { record, matchers }: { readonly record: SubscriptionRecord; readonly matchers: SubscriptionMatchers },
): readonly LogEntry[] {
  const matcher = matchers.of(record);
  return leaving.filter((entry) => {
    if (entry.sequence <= scanned) return false;
    try {
      return matcher.matches(entry);
    } catch {
      // A filter that is too dear to say so says nothing against it: what is kept can still be looked at.
      return true;
    }
  });
}
