import { extendedTailBytes, extendedTailSignals, tailCacheBytes, tailCacheSignals } from "../model/limits.js";
import type { LogEntry } from "../model/log-entry.js";
import type {
  CoordinationHeader,
  ForeignChanges,
  JournalChange,
  KnownCoordination,
  StoredCoordination,
} from "../store/signal-store.js";
import { AgentActivity } from "./agent-activity.js";
import type { AgentRecord } from "./agent-record.js";
import type { DependencyRecord } from "./dependency-record.js";
import { type EndedWaitRecord, EndedWaits } from "./ended-wait.js";
import { NamedSubscriptions, type SubscriptionChanges } from "./named-subscriptions.js";
import { ReaderIndex } from "./reader-index.js";
import { isReadingKey, Readings } from "./readings.js";
import { SessionMetrics } from "./session-metrics.js";
import type { TailBudget } from "./tail-budget.js";
import { TailCache } from "./tail-cache.js";
import type { WaitChanges } from "./wait-draft.js";
import { WaitIndex } from "./wait-index.js";
import { parseWaitKey, type WaitRecord } from "./wait-record.js";
import { WaitTable } from "./wait-table.js";

/** What a draft has made durable, as far as the state takes it over. */
export interface DurableChange {
  readonly nowMs: number;
  readonly header: CoordinationHeader | undefined;
  readonly entries: readonly LogEntry[];
  readonly changedAgents: ReadonlyMap<string, AgentRecord | undefined>;
  /** Agents whose work has moved without a signal of theirs. */
  readonly movedAgents: ReadonlySet<string>;
  readonly changedDependencies: ReadonlyMap<string, DependencyRecord | undefined>;
  /** Undefined when nothing of them changed. */
  readonly waitChanges: WaitChanges | undefined;
  readonly endedWaits: ReadonlySet<EndedWaitRecord>;
  readonly droppedWaits: number;
  /** Undefined when nothing of them changed. */
  readonly subscriptionChanges: SubscriptionChanges | undefined;
  /** Signals after this sequence left the log before the entries came. */
  readonly removedAfterSequence: bigint | undefined;
  /** The coordination is gone; nothing else counts then. */
  readonly isRemoved: boolean;
}

/** What a coordination in memory keeps to. */
export interface SessionStateOptions {
  /** Without one the log's end keeps to its own share. */
  readonly tailBudget?: TailBudget;
  /** As of `AgentActivityOptions`. */
  readonly leastStallMs?: number | undefined;
  /** Told of the record of an agent with open subscriptions or waits here: when the first is opened, and when the record changes. */
  readonly onPresent?: ((session: SessionState, record: AgentRecord) => void) | undefined;
}

/** A subscription that is open on this server. */
export interface OpenSubscription {
  readonly agentId: string;
  /** The last sequence it has scanned. */
  positionSequence: bigint;
}

/**
 * One coordination in memory, as of its last commit: a fold over its log and journal. It changes only by `apply`, with a draft
 * that the store has made durable, so that nobody sees what could still be lost. Without a header the coordination does not
 * exist (yet): subscribers wait on it here.
 */
export class SessionState {
  readonly coordinationId: string;
  readonly readers = new ReaderIndex();
  readonly parkedWaits = new WaitIndex();
  readonly activity: AgentActivity;
  readonly subscriptions = new Set<OpenSubscription>();
  /** Waits that have ended and are not written yet. */
  readonly endedWaits = new EndedWaits();
  /** The durable subscriptions, whether somebody reads or not. */
  readonly named = new NamedSubscriptions();
  /** What agents were handed. */
  readonly readings = new Readings();
  #header: CoordinationHeader | undefined;
  #agents = new Map<string, AgentRecord>();
  #dependencies = new Map<string, DependencyRecord>();
  #waits = new WaitTable();
  #waitOwners = new Map<string, number>();
  #metrics = new SessionMetrics();
  /** What other servers on the same store have counted, by their slots. */
  #foreignMetrics = new Map<string, SessionMetrics>();
  #serverKey: string;
  readonly #tail: TailCache;
  readonly #onPresent: SessionStateOptions["onPresent"];

  /** `serverKey` is the key of this server's counters in the journal. */
  constructor(
    coordinationId: string,
    stored: StoredCoordination | undefined,
    serverKey: string,
    { tailBudget, leastStallMs, onPresent }: SessionStateOptions = {},
  ) {
    this.activity = new AgentActivity({ leastStallMs, onPresent: (agentId) => this.#notePresent(agentId) });
    this.#onPresent = onPresent;
    this.coordinationId = coordinationId;
    this.#serverKey = serverKey;
    this.#header = stored?.header;
    this.#tail = new TailCache(
      { maxEntries: tailCacheSignals, maxBytes: tailCacheBytes },
      stored?.header.headSequence ?? 0n,
      tailBudget && { maxEntries: extendedTailSignals, maxBytes: extendedTailBytes, budget: tailBudget },
    );
    if (stored !== undefined) this.#restore(stored.records);
  }

  get header(): CoordinationHeader | undefined {
    return this.#header;
  }

  get agents(): ReadonlyMap<string, AgentRecord> {
    return this.#agents;
  }

  /** Resolved dependencies by key, the one resolved longest ago first. */
  get dependencies(): ReadonlyMap<string, DependencyRecord> {
    return this.#dependencies;
  }

  /** The open waits by id; where several servers share the store, those of all of them. */
  get waits(): ReadonlyMap<string, WaitRecord> {
    return this.#waits.all;
  }

  /** The open waits of an agent. */
  waitsOf(agentId: string): Iterable<WaitRecord> {
    return this.#waits.ofAgent(agentId);
  }

  /** What is known of an agent. */
  agent(agentId: string): AgentRecord | undefined {
    return this.#agents.get(agentId);
  }

  /** The resolution of a dependency, by its key. */
  dependency(key: string): DependencyRecord | undefined {
    return this.#dependencies.get(key);
  }

  /** When each server with open waits was last heard of, in milliseconds. */
  get waitOwners(): ReadonlyMap<string, number> {
    return this.#waitOwners;
  }

  /** What this server has counted. */
  get metrics(): SessionMetrics {
    return this.#metrics;
  }

  /** What all servers have counted, as far as it is known here. */
  get allMetrics(): readonly SessionMetrics[] {
    return [this.#metrics, ...this.#foreignMetrics.values()];
  }

  /** Which version of the coordination this is. */
  get known(): KnownCoordination {
    const header = this.#header;
    return {
      coordinationId: this.coordinationId,
      version: header && { epoch: header.epoch, commits: header.commits },
      headSequence: header?.headSequence ?? 0n,
    };
  }

  get tail(): TailCache {
    return this.#tail;
  }

  /** Makes a durable draft visible and wakes whom it concerns. */
  apply(draft: DurableChange): void {
    if (draft.isRemoved) {
      this.#clear();
      this.readers.wakeAll();
      this.parkedWaits.wakeAll();
      return;
    }
    const wasSteady = isSameStretch(this.#header, draft.header);
    const mayBlock = !wasSteady || this.#changesBlocking(draft);
    this.#header = draft.header;
    const left = leftAgents(this.#agents, draft.changedAgents);
    setAll(this.#agents, draft.changedAgents);
    this.#setWaits(draft.waitChanges);
    this.endedWaits.written(draft.endedWaits, draft.droppedWaits);
    this.#setDependencies(inOrderOfResolution(draft.changedDependencies));
    if (draft.subscriptionChanges !== undefined) this.named.apply(draft.subscriptionChanges);
    if (draft.removedAfterSequence !== undefined) this.#tail.removeAfter(draft.removedAfterSequence);
    this.#tail.add(draft.entries);
    this.#noteSenders(draft);
    for (const agentId of draft.movedAgents) this.activity.note(agentId, draft.nowMs, true);
    for (const agentId of left) this.activity.forget(agentId);
    this.#notePresentOf(draft.changedAgents);
    this.#wake(wasSteady ? draft.entries : undefined);
    if (mayBlock) this.parkedWaits.blockingChanged();
  }

  /** Takes over what a draft changed that nothing has to be stored of: waits that only this server knows. */
  applyTransient(draft: Pick<DurableChange, "changedAgents" | "waitChanges">): void {
    const mayBlock = this.#changesBlocking(draft);
    this.#setWaits(draft.waitChanges);
    if (mayBlock) this.parkedWaits.blockingChanged();
  }

  /**
   * Opens a wait, or changes it, without a turn: only where this server has the store to itself, and nobody else has to be told.
   * `mayBlock` as of `WaitDraft.put`.
   */
  putWait(record: WaitRecord, mayBlock: boolean): void {
    this.#waits.set(record.waitId, record);
    if (mayBlock) this.parkedWaits.blockingChanged();
  }

  /** As `putWait`, takes a wait out that has ended. */
  closeWait(waitId: string): void {
    this.#waits.set(waitId, undefined);
  }

  /** Takes over what another server on the same store has changed. */
  applyForeign({ header, entries, records, recordsAreAll }: ForeignChanges): void {
    const before = this.#agents;
    const isSameEpoch = header !== undefined && header.epoch === this.#header?.epoch;
    const isSameLog = isSameEpoch && header.generation === this.#header?.generation;
    const wasSteady = isSameStretch(this.#header, header);
    if (!isSameEpoch) this.#clear();
    else if (recordsAreAll) this.#forgetRecords();
    this.#header = header;
    this.#restore(records, before);
    if (isSameLog && entries !== undefined) this.#tail.add(entries);
    else this.#tail.clear(header?.headSequence ?? 0n);
    this.#wake(wasSteady ? entries : undefined);
    this.parkedWaits.blockingChanged();
  }

  /**
   * Counts under another key from now on, because another server took this one's. What was counted stays under the old key,
   * where its new owner goes on from what was written last.
   */
  setServerKey(serverKey: string): void {
    if (serverKey === this.#serverKey) return;
    this.#foreignMetrics.set(this.#serverKey, this.#metrics);
    this.#metrics = this.#foreignMetrics.get(serverKey) ?? new SessionMetrics();
    this.#foreignMetrics.delete(serverKey);
    this.#serverKey = serverKey;
    this.readings.markAllUnwritten();
  }

  #notePresentOf(changes: ReadonlyMap<string, AgentRecord | undefined>): void {
    if (this.#onPresent === undefined) return;
    for (const agentId of changes.keys()) if (this.activity.isPresent(agentId)) this.#notePresent(agentId);
  }

  #notePresent(agentId: string): void {
    const record = this.#agents.get(agentId);
    if (record !== undefined) this.#onPresent?.(this, record);
  }

  #noteSenders({ entries, nowMs }: Pick<DurableChange, "entries" | "nowMs">): void {
    let noted: string | undefined;
    for (const { facts } of entries) {
      if (facts.senderAgentId !== noted) this.activity.note(facts.senderAgentId, nowMs, true);
      noted = facts.senderAgentId;
    }
  }

  /** Wakes whom these entries can concern; undefined concerns everybody. */
  #wake(entries: readonly LogEntry[] | undefined): void {
    if (entries === undefined) {
      this.readers.wakeAll();
      this.parkedWaits.wakeAll();
    } else {
      this.readers.wakeFor(entries);
      this.parkedWaits.wakeFor(entries);
    }
  }

  /** Whether who waits for whom, or who can act, may be another than before: a loop of waits may have formed. */
  #changesBlocking({ changedAgents, waitChanges }: Pick<DurableChange, "changedAgents" | "waitChanges">): boolean {
    if (waitChanges?.mayBlock === true) return true;
    if (this.waits.size === 0) return false;
    for (const [agentId, record] of changedAgents) {
      const before = this.#agents.get(agentId);
      if (before?.milestone !== record?.milestone || before?.isRegistered !== record?.isRegistered) return true;
      if (before?.registerTimeMs !== record?.registerTimeMs || before?.provides !== record?.provides) return true;
    }
    return false;
  }

  #setWaits(changes: WaitChanges | undefined): void {
    if (changes === undefined) return;
    for (const [waitId, record] of changes.waits) this.#waits.set(waitId, record);
    setAll(this.#waitOwners, changes.owners);
  }

  #clear(): void {
    this.#header = undefined;
    this.#forgetRecords();
    this.#metrics = new SessionMetrics();
    this.endedWaits.clear();
    this.readings.clear();
    this.activity.keepOnly(() => false);
    this.#tail.clear(0n);
  }

  #forgetRecords(): void {
    this.#agents = new Map();
    this.#dependencies = new Map();
    this.#waits = new WaitTable();
    this.#waitOwners = new Map();
    this.#foreignMetrics = new Map();
    this.named.clear();
    this.readings.forgetForeign();
  }

  #restore(records: readonly JournalChange[], before: ReadonlyMap<string, AgentRecord> = this.#agents): void {
    const agents = new Map<string, AgentRecord | undefined>();
    const dependencies = new Map<string, DependencyRecord | undefined>();
    for (const { kind, key, value } of records) {
      if (kind === "agent") agents.set(key, value && JSON.parse(Buffer.from(value).toString()));
      if (kind === "dependency") dependencies.set(key, value && JSON.parse(Buffer.from(value).toString()));
      if (kind === "metrics" && value !== undefined) this.#restoreMetrics(key, value);
      if (kind === "wait") this.#restoreWait(key, value);
    }
    for (const agentId of leftAgents(before, agents)) this.activity.forget(agentId);
    setAll(this.#agents, agents);
    this.#notePresentOf(agents);
    this.#setDependencies(inOrderOfResolution(dependencies));
    this.named.restore(records);
  }

  #restoreMetrics(key: string, value: Uint8Array): void {
    if (isReadingKey(key)) {
      this.readings.restore(key, value, this.#serverKey);
      return;
    }
    const restored = new SessionMetrics();
    restored.restore(value);
    if (key !== this.#serverKey) this.#foreignMetrics.set(key, restored);
    else if (!this.#metrics.isDirty) this.#metrics = restored;
  }

  #restoreWait(key: string, value: Uint8Array | undefined): void {
    const { of, id } = parseWaitKey(key);
    const parsed = value && JSON.parse(Buffer.from(value).toString());
    if (of === "wait") this.#waits.set(id, parsed);
    else setAll(this.#waitOwners, new Map([[id, parsed]]));
  }

  #setDependencies(changes: ReadonlyMap<string, DependencyRecord | undefined>): void {
    for (const [key, record] of changes) {
      // Set anew, so that the map's order stays the order of resolution.
      this.#dependencies.delete(key);
      if (record !== undefined) this.#dependencies.set(key, record);
    }
  }
}

/** Whether only signals came: everything else concerns every reader. */
function isSameStretch(before: CoordinationHeader | undefined, after: CoordinationHeader | undefined): boolean {
  return (
    before !== undefined &&
    before.epoch === after?.epoch &&
    before.generation === after.generation &&
    before.closeTimeMs === after.closeTimeMs
  );
}

/** Those whose registration changes end: what they did before says no more that they are there. */
function leftAgents(
  before: ReadonlyMap<string, AgentRecord>,
  changes: ReadonlyMap<string, AgentRecord | undefined>,
): readonly string[] {
  const left: string[] = [];
  for (const [agentId, record] of changes) {
    if (record?.isRegistered !== true && before.get(agentId)?.isRegistered === true) left.push(agentId);
  }
  return left;
}

function setAll<V>(target: Map<string, V>, changes: ReadonlyMap<string, V | undefined>): void {
  for (const [key, value] of changes) {
    if (value === undefined) target.delete(key);
    else target.set(key, value);
  }
}

function inOrderOfResolution(
  changes: ReadonlyMap<string, DependencyRecord | undefined>,
): ReadonlyMap<string, DependencyRecord | undefined> {
  if (changes.size < 2) return changes;
  return new Map([...changes].sort(([, a], [, b]) => Number(BigInt(a?.sequence ?? 0) - BigInt(b?.sequence ?? 0))));
}
