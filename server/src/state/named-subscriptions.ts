import type { JournalChange } from "../store/signal-store.js";
import {
  type DeadLetterRecord,
  type DeadLetterTotals,
  type DeliveryRecord,
  parseSignalKey,
  parseSubscriptionKey,
  type ScanRecord,
  type SubscriptionRecord,
} from "./subscription-record.js";

/** What changes of named subscriptions; undefined values are removals. */
export interface SubscriptionChanges {
  readonly definitions: ReadonlyMap<string, SubscriptionRecord | undefined>;
  readonly scans: ReadonlyMap<string, ScanRecord | undefined>;
  /** By subscription, then by the sequence's key. */
  readonly deliveries: ReadonlyMap<string, ReadonlyMap<string, DeliveryRecord | undefined>>;
  /** By subscription and sequence. */
  readonly deadLetters: ReadonlyMap<string, DeadLetterRecord | undefined>;
  readonly totals: DeadLetterTotals | undefined;
}

const noTotals: DeadLetterTotals = { made: 0, dropped: 0 };
const noDeliveries: ReadonlyMap<string, DeliveryRecord> = new Map();

/** The named subscriptions of one coordination as of its last commit. */
export class NamedSubscriptions {
  #definitions = new Map<string, SubscriptionRecord>();
  #scans = new Map<string, ScanRecord>();
  #deliveries = new Map<string, Map<string, DeliveryRecord>>();
  #deadLetters = new Map<string, DeadLetterRecord>();
  #totals = noTotals;
  readonly #watchers = new Map<string, Set<() => void>>();

  get definitions(): ReadonlyMap<string, SubscriptionRecord> {
    return this.#definitions;
  }

  get scans(): ReadonlyMap<string, ScanRecord> {
    return this.#scans;
  }

  /** The unsettled deliveries of a subscription, by the sequence's key. */
  deliveriesOf(name: string): ReadonlyMap<string, DeliveryRecord> {
    return this.#deliveries.get(name) ?? noDeliveries;
  }

  /** Dead letters by subscription and sequence, the one that came first first. */
  get deadLetters(): ReadonlyMap<string, DeadLetterRecord> {
    return this.#deadLetters;
  }

  get totals(): DeadLetterTotals {
    return this.#totals;
  }

  /** Has somebody told whenever a subscription may stand otherwise than before. The function returned takes it back. */
  watch(name: string, listener: () => void): () => void {
    const listeners = this.#watchers.get(name) ?? new Set();
    this.#watchers.set(name, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#watchers.get(name) === listeners) this.#watchers.delete(name);
    };
  }

  /** Takes over what has become durable. */
  apply({ definitions, scans, deliveries, deadLetters, totals }: SubscriptionChanges): void {
    const touched = new Set([...definitions.keys(), ...scans.keys(), ...deliveries.keys()]);
    setAll(this.#definitions, definitions);
    setAll(this.#scans, scans);
    for (const [name, changes] of deliveries) this.#setDeliveries(name, changes);
    setAll(this.#deadLetters, deadLetters);
    if (totals !== undefined) this.#totals = totals;
    for (const name of touched) this.#tell(name);
  }

  /** Takes over journal records, as they are loaded or came from another server. */
  restore(records: readonly JournalChange[]): void {
    const touched = new Set<string>();
    let hasDeadLetters = false;
    for (const { kind, key, value } of records) {
      if (kind === "subscription") touched.add(this.#restoreSubscription(key, value));
      if (kind === "delivery") touched.add(this.#restoreDelivery(key, value));
      if (kind !== "deadLetter") continue;
      setAll(this.#deadLetters, new Map([[key, parse<DeadLetterRecord>(value)]]));
      hasDeadLetters = true;
    }
    if (hasDeadLetters) {
      this.#deadLetters = new Map([...this.#deadLetters].sort(([, a], [, b]) => a.number - b.number));
    }
    for (const name of touched) this.#tell(name);
  }

  /** Forgets everything. */
  clear(): void {
    this.#definitions = new Map();
    this.#scans = new Map();
    this.#deliveries = new Map();
    this.#deadLetters = new Map();
    this.#totals = noTotals;
    for (const name of [...this.#watchers.keys()]) this.#tell(name);
  }

  #restoreSubscription(key: string, value: Uint8Array | undefined): string {
    const { of, name } = parseSubscriptionKey(key);
    if (of === "definition") setAll(this.#definitions, new Map([[name, parse<SubscriptionRecord>(value)]]));
    if (of === "scan") setAll(this.#scans, new Map([[name, parse<ScanRecord>(value)]]));
    if (of === "totals") this.#totals = parse<DeadLetterTotals>(value) ?? noTotals;
    return name;
  }

  #restoreDelivery(key: string, value: Uint8Array | undefined): string {
    const { subscription, sequenceKey } = parseSignalKey(key);
    this.#setDeliveries(subscription, new Map([[sequenceKey, parse<DeliveryRecord>(value)]]));
    return subscription;
  }

  #setDeliveries(name: string, changes: ReadonlyMap<string, DeliveryRecord | undefined>): void {
    const deliveries = this.#deliveries.get(name) ?? new Map<string, DeliveryRecord>();
    setAll(deliveries, changes);
    if (deliveries.size === 0) this.#deliveries.delete(name);
    else this.#deliveries.set(name, deliveries);
  }

  #tell(name: string): void {
    for (const listener of [...(this.#watchers.get(name) ?? [])]) listener();
  }
}

function setAll<V>(target: Map<string, V>, changes: ReadonlyMap<string, V | undefined>): void {
  for (const [key, value] of changes) {
    if (value === undefined) target.delete(key);
    else target.set(key, value);
  }
}

function parse<V>(value: Uint8Array | undefined): V | undefined {
  return value && JSON.parse(Buffer.from(value).toString());
}
