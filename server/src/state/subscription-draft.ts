import type { JournalChange } from "../store/signal-store.js";
import {
  type AcknowledgedRow,
  acknowledgedSlots,
  type PlacedRow,
  type RowAt,
  withAcknowledged,
  withLost,
} from "./acknowledged-times.js";
import { DraftMap, type Undo } from "./draft-map.js";
import type { NamedSubscriptions, SubscriptionChanges } from "./named-subscriptions.js";
import { movePlace, placeOfScan, scanOfPlace } from "./scan-place.js";
import {
  acknowledgedKey,
  acknowledgedRowKey,
  type DeadLetterRecord,
  type DeadLetterTotals,
  type DeliveryRecord,
  definitionKey,
  type RequiredAcksRecord,
  requiredKey,
  type ScanRecord,
  type SubscriptionRecord,
  scanKey,
  sequenceKey,
  signalKey,
  totalsKey,
} from "./subscription-record.js";

/** What a draft of named subscriptions works with: the draft that it is a part of. */
export interface SubscriptionDraftOptions {
  readonly base: NamedSubscriptions;
  /** Takes a change back when the operation that made it throws. */
  readonly noteUndo: (undo: Undo) => void;
  /** Sets or removes a journal record that is not part of the state in memory. */
  readonly putRecord: (change: JournalChange) => void;
}

const totalsOnly = "totals";

/** The next version of a coordination's named subscriptions: the part of a draft that is about them. */
export class SubscriptionDraft {
  readonly #options: SubscriptionDraftOptions;
  readonly #definitions: DraftMap<SubscriptionRecord>;
  readonly #scans: DraftMap<ScanRecord>;
  readonly #deliveries = new Map<string, DraftMap<DeliveryRecord>>();
  readonly #deadLetters: DraftMap<DeadLetterRecord>;
  readonly #acknowledged: DraftMap<AcknowledgedRow>;
  readonly #required: DraftMap<RequiredAcksRecord>;
  readonly #totals: DraftMap<DeadLetterTotals>;

  constructor(options: SubscriptionDraftOptions) {
    this.#options = options;
    const { base } = options;
    this.#definitions = new DraftMap(base.definitions);
    this.#scans = new DraftMap(base.scans);
    this.#deadLetters = new DraftMap(base.deadLetters);
    this.#acknowledged = new DraftMap(base.acknowledgedRows);
    this.#required = new DraftMap(base.required);
    this.#totals = new DraftMap(new Map([[totalsOnly, base.totals]]));
  }

  /** How many there are. */
  get count(): number {
    return this.#definitions.size;
  }

  get(name: string): SubscriptionRecord | undefined {
    return this.#definitions.get(name);
  }

  *all(): Iterable<SubscriptionRecord> {
    for (const [, record] of this.#definitions.entries()) yield record;
  }

  put(record: SubscriptionRecord, scan: ScanRecord): void {
    this.#options.noteUndo(this.#definitions.set(record.name, record));
    this.putScan(record.name, scan);
  }

  /** Removes a subscription with its deliveries and dead letters. */
  remove(name: string): void {
    for (const record of [...this.deliveries(name)]) this.removeDelivery(name, record);
    for (const record of [...this.deadLetters()]) if (record.subscription === name) this.removeDeadLetter(record);
    for (const slot of acknowledgedSlots) {
      const key = acknowledgedRowKey(name, slot);
      if (this.#acknowledged.has(key)) this.#options.noteUndo(this.#acknowledged.set(key, undefined));
    }
    this.#options.noteUndo(this.#scans.set(name, undefined));
    this.#options.noteUndo(this.#definitions.set(name, undefined));
  }

  scan(name: string): ScanRecord {
    return this.#scans.get(name) ?? { throughSequence: "0", claims: 0 };
  }

  putScan(name: string, scan: ScanRecord): void {
    this.#options.noteUndo(this.#scans.set(name, scan));
  }

  /** Changes how far a subscription has got. */
  movePlace(name: string, move: (position: bigint) => bigint): void {
    const scan = this.scan(name);
    const place = placeOfScan(scan);
    const moved = movePlace(place, move);
    if (moved.positions.every((position, index) => position === place.positions[index])) return;
    this.putScan(name, { ...scanOfPlace(moved), claims: scan.claims });
  }

  delivery(name: string, sequence: bigint | string): DeliveryRecord | undefined {
    return this.#deliveriesOf(name).get(sequenceKey(sequence));
  }

  hasDeliveries(name: string): boolean {
    return this.#deliveriesOf(name).size > 0;
  }

  *deliveries(name: string): Iterable<DeliveryRecord> {
    for (const [, record] of this.#deliveriesOf(name).entries()) yield record;
  }

  /** How many dead letters were made deliveries again, and are not settled. */
  get redrivenCount(): number {
    let count = 0;
    for (const { name } of this.all()) for (const { isHeld } of this.deliveries(name)) if (isHeld) count += 1;
    return count;
  }

  putDelivery(name: string, record: DeliveryRecord): void {
    this.#options.noteUndo(this.#deliveriesOf(name).set(sequenceKey(record.sequence), record));
  }

  /** Forgets a delivery, and its signal where that was kept beside the log. */
  removeDelivery(name: string, record: DeliveryRecord): void {
    this.#options.noteUndo(this.#deliveriesOf(name).set(sequenceKey(record.sequence), undefined));
    if (record.isHeld) this.#release(name, record.sequence);
  }

  /** Notes that a delivery was acknowledged, which is to be removed: when, and when it was made first. */
  noteAcknowledged({ name, agentId }: SubscriptionRecord, delivery: DeliveryRecord, nowMs: number): void {
    const { sequence, firstTimeMs: deliveredMs = nowMs } = delivery;
    const time = { acknowledgedMs: nowMs, deliveredMs };
    for (const placed of withAcknowledged(this.#rowsOf(name), sequence, time)) this.#place(name, placed);
    const required = this.required(sequence);
    if (required === undefined || !required.agentIds.includes(agentId)) return;
    if (required.acknowledged.some(([each]) => each === agentId)) return;
    this.#putRequired({ ...required, acknowledged: [...required.acknowledged, [agentId, nowMs, deliveredMs]] });
  }

  /** Who has to acknowledge a signal, as far as it is kept. */
  required(sequence: bigint | string): RequiredAcksRecord | undefined {
    return this.#required.get(sequenceKey(sequence));
  }

  /**
   * Notes who has to acknowledge a signal, beside those of whom that is known; past `maxSignals` what is known of the signal of which
   * it is known longest is forgotten, and agents past `maxAgents` are not noted.
   */
  requireAcks(
    sequence: bigint,
    agentIds: readonly string[],
    limits: { readonly maxSignals: number; readonly maxAgents: number },
  ): void {
    const { agentIds: known = [], acknowledged = [] } = this.required(sequence) ?? {};
    if (known.length > 0 && agentIds.every((agentId) => known.includes(agentId))) return;
    const all = [...new Set([...known, ...agentIds])].slice(0, limits.maxAgents);
    this.#putRequired({ sequence: String(sequence), agentIds: all, acknowledged });
    for (let size = this.#required.size; size > limits.maxSignals; size -= 1) {
      const first = this.#required.firstKey();
      if (first !== undefined) this.#options.noteUndo(this.#required.set(first, undefined));
    }
  }

  /** Forgets who has to acknowledge signals that leave the store. */
  forgetRequired(throughSequence: bigint): void {
    for (const [key, { sequence }] of [...this.#required.entries()]) {
      if (BigInt(sequence) <= throughSequence) this.#options.noteUndo(this.#required.set(key, undefined));
    }
  }

  /** Dead letters, the one that came first first. */
  *deadLetters(): Iterable<DeadLetterRecord> {
    for (const [, record] of this.#deadLetters.entries()) yield record;
  }

  deadLetter(name: string, sequence: string): DeadLetterRecord | undefined {
    return this.#deadLetters.get(signalKey(name, sequence));
  }

  /**
   * Makes a dead letter of a delivery, or of a signal that was never delivered; past `maxDeadLetters` those that came first go.
   * `bytes` is the signal; undefined where it is kept beside the log already.
   */
  bury(record: Omit<DeadLetterRecord, "number">, bytes: Uint8Array | undefined, maxDeadLetters: number): void {
    const { subscription, sequence } = record;
    const key = signalKey(subscription, sequence);
    const { made, dropped } = this.totals;
    const deliveries = this.#deliveriesOf(subscription);
    const delivery = deliveries.get(sequenceKey(sequence));
    if (delivery !== undefined) this.#options.noteUndo(deliveries.set(sequenceKey(sequence), undefined));
    const { level = delivery?.level } = record;
    this.#options.noteUndo(this.#deadLetters.set(key, { ...record, level, number: made + 1 }));
    this.#putTotals({ made: made + 1, dropped });
    if (bytes !== undefined) this.#options.putRecord({ kind: "heldSignal", key, value: bytes });
    while (this.#deadLetters.size > maxDeadLetters) this.#dropFirst();
  }

  /** Makes a delivery of a dead letter; its signal stays beside the log, and on its level. */
  revive(letter: DeadLetterRecord, delivery: DeliveryRecord): void {
    this.#options.noteUndo(this.#deadLetters.set(signalKey(letter.subscription, letter.sequence), undefined));
    this.putDelivery(letter.subscription, { ...delivery, level: letter.level });
  }

  /** Forgets a dead letter and its signal. */
  removeDeadLetter({ subscription, sequence }: DeadLetterRecord): void {
    this.#options.noteUndo(this.#deadLetters.set(signalKey(subscription, sequence), undefined));
    this.#release(subscription, sequence);
  }

  get totals(): DeadLetterTotals {
    return this.#totals.get(totalsOnly) ?? { made: 0, dropped: 0 };
  }

  /** Counts dead letters through a sequence that went before they were made. What became of their signals is not known any more. */
  dropUnmade(name: string, { count, through }: { readonly count: number; readonly through: bigint }): void {
    this.#place(name, withLost(this.#rowsOf(name), String(through)));
    const { made, dropped } = this.totals;
    this.#putTotals({ made: made + count, dropped: dropped + count });
  }

  /** Undoes what signals after a sequence had led to. */
  rollBack(toSequence: bigint): void {
    for (const { name } of [...this.all()]) {
      for (const record of [...this.deliveries(name)]) {
        if (BigInt(record.sequence) > toSequence) this.removeDelivery(name, record);
      }
      this.movePlace(name, (position) => (position < toSequence ? position : toSequence));
    }
    for (const record of [...this.deadLetters()]) {
      if (BigInt(record.sequence) > toSequence) this.removeDeadLetter(record);
    }
    for (const [key, { sequence }] of [...this.#required.entries()]) {
      if (BigInt(sequence) > toSequence) this.#options.noteUndo(this.#required.set(key, undefined));
    }
  }

  get changes(): SubscriptionChanges {
    const deliveries = new Map<string, ReadonlyMap<string, DeliveryRecord | undefined>>();
    for (const [name, { changes }] of this.#deliveries) if (changes.size > 0) deliveries.set(name, changes);
    return {
      definitions: this.#definitions.changes,
      scans: this.#scans.changes,
      deliveries,
      deadLetters: this.#deadLetters.changes,
      acknowledged: this.#acknowledged.changes,
      required: this.#required.changes,
      totals: this.#totals.changes.get(totalsOnly),
    };
  }

  /** The journal records of what changed. */
  journalChanges(): JournalChange[] {
    const { definitions, scans, deliveries, deadLetters, acknowledged, required, totals } = this.changes;
    const records: JournalChange[] = [];
    for (const [name, record] of definitions) {
      records.push({ kind: "subscription", key: definitionKey(name), value: encode(record) });
    }
    for (const [name, record] of scans)
      records.push({ kind: "subscription", key: scanKey(name), value: encode(record) });
    for (const [name, changes] of deliveries) {
      for (const [key, record] of changes) {
        records.push({ kind: "delivery", key: signalKey(name, key), value: encode(record) });
      }
    }
    for (const [key, record] of deadLetters) records.push({ kind: "deadLetter", key, value: encode(record) });
    for (const [key, row] of acknowledged) {
      records.push({ kind: "subscription", key: acknowledgedKey(key), value: encode(row) });
    }
    for (const [key, record] of required) {
      records.push({ kind: "subscription", key: requiredKey(key), value: encode(record) });
    }
    if (totals !== undefined) records.push({ kind: "subscription", key: totalsKey, value: encode(totals) });
    return records;
  }

  #deliveriesOf(name: string): DraftMap<DeliveryRecord> {
    const known = this.#deliveries.get(name) ?? new DraftMap(this.#options.base.deliveriesOf(name));
    this.#deliveries.set(name, known);
    return known;
  }

  #dropFirst(): void {
    const first = this.#deadLetters.firstKey();
    const record = first === undefined ? undefined : this.#deadLetters.get(first);
    if (record === undefined) return;
    this.removeDeadLetter(record);
    const { subscription, sequence } = record;
    this.#place(subscription, withLost(this.#rowsOf(subscription), sequence));
    const { made, dropped } = this.totals;
    this.#putTotals({ made, dropped: dropped + 1 });
  }

  #rowsOf(name: string): RowAt {
    return (slot) => this.#acknowledged.get(acknowledgedRowKey(name, slot));
  }

  #place(name: string, { slot, row }: PlacedRow): void {
    this.#options.noteUndo(this.#acknowledged.set(acknowledgedRowKey(name, slot), row));
  }

  #putRequired(record: RequiredAcksRecord): void {
    this.#options.noteUndo(this.#required.set(sequenceKey(record.sequence), record));
  }

  #putTotals(totals: DeadLetterTotals): void {
    this.#options.noteUndo(this.#totals.set(totalsOnly, totals));
  }

  #release(subscription: string, sequence: string): void {
    this.#options.putRecord({ kind: "heldSignal", key: signalKey(subscription, sequence), value: undefined });
  }
}

function encode(record: object | undefined): Uint8Array | undefined {
  return record && Buffer.from(JSON.stringify(record));
}
