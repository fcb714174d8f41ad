import type { JournalChange } from "../store/signal-store.js";
import type { AcknowledgedRow } from "./acknowledged-times.js";
import {
  type DeadLetterRecord,
  type DeadLetterTotals,
  type DeliveryRecord,
  parseSignalKey,
  parseSubscriptionKey,
  type RequiredAcksRecord,
  type ScanRecord,
  type SubscriptionRecord,
  sequenceKey,
} from "./subscription-record.js";
import { Watchers } from "./watchers.js";

/** What changes of named subscriptions; undefined values are removals. */
export interface SubscriptionChanges {
  readonly definitions: ReadonlyMap<string, SubscriptionRecord | undefined>;
  readonly scans: ReadonlyMap<string, ScanRecord | undefined>;
  /** By subscription, then by the sequence's key. */
  readonly deliveries: ReadonlyMap<string, ReadonlyMap<string, DeliveryRecord | undefined>>;
  /** By subscription and sequence. */
  readonly deadLetters: ReadonlyMap<string, DeadLetterRecord | undefined>;
  /** By subscription and place. */
  readonly acknowledged: ReadonlyMap<string, AcknowledgedRow | undefined>;
  /** By the sequence's key. */
  readonly required: ReadonlyMap<string, RequiredAcksRecord | undefined>;
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
  #acknowledged = new Map<string, AcknowledgedRow>();
  #required = new Map<string, RequiredAcksRecord>();
  #totals = noTotals;
  readonly #watchers = new Watchers();
  /** By the sequence's key. */
  readonly #signalWatchers = new Watchers();

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

  /** When signals were acknowledged, by subscription and place: see `acknowledged-times`. */
  get acknowledgedRows(): ReadonlyMap<string, AcknowledgedRow> {
    return this.#acknowledged;
  }

  /** Signals that agents have to acknowledge, by the sequence's key; the last ones. */
  get required(): ReadonlyMap<string, RequiredAcksRecord> {
    return this.#required;
  }

  /** Has somebody told whenever a subscription may stand otherwise than before. The function returned takes it back. */
  watch(name: string, listener: () => void): () => void {
    return this.#watchers.watch(name, listener);
  }

  /**
   * Has somebody told whenever what became of a signal may be another than before: a delivery of it changed, or which subscriptions
   * there are. The function returned takes it back.
   */
  watchSignal(sequence: bigint, listener: () => void): () => void {
    return this.#signalWatchers.watch(sequenceKey(sequence), listener);
  }

  /** Takes over what has become durable. */
  apply(changes: SubscriptionChanges): void {
    const { definitions, scans, deliveries, deadLetters, acknowledged, required, totals } = changes;
    const touched = new Set([...definitions.keys(), ...scans.keys(), ...deliveries.keys()]);
    setAll(this.#definitions, definitions);
    setAll(this.#scans, scans);
    for (const [name, changed] of deliveries) this.#setDeliveries(name, changed);
    setAll(this.#deadLetters, deadLetters);
    setAll(this.#acknowledged, acknowledged);
    setAll(this.#required, required);
    if (totals !== undefined) this.#totals = totals;
    for (const name of touched) this.#watchers.tell(name);
    if (this.#signalWatchers.isEmpty) return;
    this.#tellOfSignals(touchedSignals(changes), definitions.size > 0);
    this.#tellOfLost(acknowledged.values());
  }

  /** Takes over journal records, as they are loaded or came from another server. */
  restore(records: readonly JournalChange[]): void {
    const touched = new Set<string>();
    const signals = new Set<string>();
    const rows: (AcknowledgedRow | undefined)[] = [];
    let [hasDeadLetters, hasDefinitions] = [false, false];
    for (const { kind, key, value } of records) {
      if (kind === "subscription") {
        const { of, name } = this.#restoreSubscription(key, value);
        if (of === "definition") hasDefinitions = true;
        if (of === "definition" || of === "scan") touched.add(name);
        if (of === "acknowledged") rows.push(this.#acknowledged.get(name));
      }
      if (kind === "delivery") touched.add(this.#restoreDelivery(key, value));
      if (kind === "delivery" || kind === "deadLetter") signals.add(parseSignalKey(key).sequenceKey);
      if (kind !== "deadLetter") continue;
      setAll(this.#deadLetters, new Map([[key, parse<DeadLetterRecord>(value)]]));
      hasDeadLetters = true;
    }
    if (hasDeadLetters) {
      this.#deadLetters = new Map([...this.#deadLetters].sort(([, a], [, b]) => a.number - b.number));
    }
    for (const name of touched) this.#watchers.tell(name);
    this.#tellOfSignals(signals, hasDefinitions);
    this.#tellOfLost(rows);
  }

  /** Forgets everything. */
  clear(): void {
    this.#definitions = new Map();
    this.#scans = new Map();
    this.#deliveries = new Map();
    this.#deadLetters = new Map();
    this.#acknowledged = new Map();
    this.#required = new Map();
    this.#totals = noTotals;
    this.#watchers.tellAll();
    this.#signalWatchers.tellAll();
  }

  #restoreSubscription(key: string, value: Uint8Array | undefined): ReturnType<typeof parseSubscriptionKey> {
    const parsed = parseSubscriptionKey(key);
    const { of, name } = parsed;
    if (of === "definition") setAll(this.#definitions, new Map([[name, parse<SubscriptionRecord>(value)]]));
    if (of === "scan") setAll(this.#scans, new Map([[name, parse<ScanRecord>(value)]]));
    if (of === "acknowledged") setAll(this.#acknowledged, new Map([[name, parse<AcknowledgedRow>(value)]]));
    if (of === "required") setAll(this.#required, new Map([[name, parse<RequiredAcksRecord>(value)]]));
    if (of === "totals") this.#totals = parse<DeadLetterTotals>(value) ?? noTotals;
    return parsed;
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

  #tellOfSignals(sequenceKeys: Iterable<string>, concernsAll: boolean): void {
    if (concernsAll) this.#signalWatchers.tellAll();
    else for (const key of sequenceKeys) this.#signalWatchers.tell(key);
  }

  /** Some that had to go were never dead letters: their signals are known by the last one alone. */
  #tellOfLost(rows: Iterable<AcknowledgedRow | undefined>): void {
    for (const row of rows) {
      if (row?.lostThrough === undefined) continue;
      const through = sequenceKey(row.lostThrough);
      this.#signalWatchers.tellWhere((key) => key <= through);
    }
  }
}

/** The keys of the signals of which something changed. */
function touchedSignals({ deliveries, deadLetters }: SubscriptionChanges): ReadonlySet<string> {
  const keys = new Set<string>();
  for (const changed of deliveries.values()) for (const key of changed.keys()) keys.add(key);
  for (const key of deadLetters.keys()) keys.add(parseSignalKey(key).sequenceKey);
  return keys;
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
