import type { LogEntry } from "../model/log-entry.js";
import { type PreparedSignal, placeSignal } from "../model/prepared-signal.js";
import { nextSignalId } from "../model/signal-ids.js";
import type { CommitPart, CoordinationHeader, JournalChange } from "../store/signal-store.js";
import type { AgentActivity } from "./agent-activity.js";
import type { AgentRecord } from "./agent-record.js";
import { type DependencyRecord, dependencyKey } from "./dependency-record.js";
import { DraftMap, type Undo } from "./draft-map.js";
import { type EndedWaitRecord, endedWaitChange } from "./ended-wait.js";
import type { SubscriptionChanges } from "./named-subscriptions.js";
import { newHeader } from "./new-header.js";
import { withRemovedRange } from "./removed-ranges.js";
import type { SessionState } from "./session-state.js";
import {
  auditKey,
  auditTrim,
  encodeStateChanges,
  maxActors,
  mergedChanges,
  type StateChange,
  type StateChangeFields,
} from "./state-change.js";
import { SubscriptionDraft } from "./subscription-draft.js";
import { type WaitChanges, WaitDraft } from "./wait-draft.js";

/** What a draft is made with. */
export interface DraftOptions {
  readonly session: SessionState;
  /** Wall clock at the start of the commit. */
  readonly nowMs: number;
  /** On the monotonic clock. */
  readonly acceptedAtMs: number;
  /** Signals a coordination keeps; older ones leave the history. */
  readonly retentionSignals: number;
  /** Counts one coordination more. Throws when the store holds as many as it may; the function returned takes it back. */
  readonly countBeginning: () => () => void;
  /** Entries that the store knows for the request keys of the operations to run. */
  readonly knownRequests: ReadonlyMap<string, LogEntry>;
  /** Whether open waits go to the journal, where other servers see them. */
  readonly sharesWaits: boolean;
}

/**
 * The next version of a coordination, under its lock: operations read and change it as if they were alone, and it becomes
 * the coordination's state only when the store has made it durable. An operation that throws leaves no trace in it.
 */
export class Draft {
  readonly nowMs: number;
  readonly #options: DraftOptions;
  readonly #agents: DraftMap<AgentRecord>;
  readonly #dependencies: DraftMap<DependencyRecord>;
  readonly #requests: DraftMap<LogEntry>;
  #waits: WaitDraft | undefined;
  #subscriptions: SubscriptionDraft | undefined;
  readonly #entries: LogEntry[] = [];
  readonly #records: JournalChange[] = [];
  readonly #changes: StateChange[] = [];
  readonly #movedAgents = new Set<string>();
  #endedWaits: ReadonlySet<EndedWaitRecord> = none;
  #droppedWaits = 0;
  #removedAfter: bigint | undefined;
  #header: CoordinationHeader | undefined;
  /** So many entries the header tells of; those behind them it is told of when somebody asks for it. */
  #settledEntries = 0;
  #isRemoved = false;
  #hasRefused = false;
  readonly #undo: Undo[] = [];

  constructor(options: DraftOptions) {
    this.#options = options;
    this.#header = options.session.header;
    this.#agents = new DraftMap(options.session.agents);
    this.#dependencies = new DraftMap(options.session.dependencies);
    this.#requests = new DraftMap(options.knownRequests);
    this.nowMs = options.nowMs;
  }

  /** Its open waits. Made when they are asked for, as few operations do. */
  get waits(): WaitDraft {
    this.#waits ??= new WaitDraft(this.#options.session, this.#noteUndo);
    return this.#waits;
  }

  /** Its named subscriptions. Made when they are asked for, as few operations do. */
  get subscriptions(): SubscriptionDraft {
    this.#subscriptions ??= new SubscriptionDraft({
      base: this.#options.session.named,
      noteUndo: this.#noteUndo,
      putRecord: (change) => this.putRecord(change),
    });
    return this.#subscriptions;
  }

  readonly #noteUndo = (undo: Undo): void => {
    this.#undo.push(undo);
  };

  get coordinationId(): string {
    return this.#options.session.coordinationId;
  }

  get activity(): AgentActivity {
    return this.#options.session.activity;
  }

  /** Undefined while the coordination does not exist. */
  get header(): CoordinationHeader | undefined {
    this.#settleEntries();
    return this.#header;
  }

  /** What signals cannot change of the header, and what costs them less than the header does. */
  get constants(): Pick<CoordinationHeader, "epoch" | "closeTimeMs" | "closeReason"> | undefined {
    return this.#header;
  }

  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  get changedAgents(): ReadonlyMap<string, AgentRecord | undefined> {
    return this.#agents.changes;
  }

  /** Agents whose work has moved without a signal of theirs. */
  get movedAgents(): ReadonlySet<string> {
    return this.#movedAgents;
  }

  get changedDependencies(): ReadonlyMap<string, DependencyRecord | undefined> {
    return this.#dependencies.changes;
  }

  /** Undefined where no operation asked for them. */
  get waitChanges(): WaitChanges | undefined {
    return this.#waits?.changes;
  }

  /** Undefined where no operation asked for them. */
  get subscriptionChanges(): SubscriptionChanges | undefined {
    return this.#subscriptions?.changes;
  }

  /** The coordination is to be removed; nothing else of the draft counts then. */
  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  get headSequence(): bigint {
    return (this.#header?.headSequence ?? 0n) + BigInt(this.#entries.length - this.#settledEntries);
  }

  get #oldestSequence(): bigint {
    const oldest = this.#header?.oldestSequence ?? 1n;
    const retained = this.headSequence - BigInt(this.#options.retentionSignals) + 1n;
    return retained > oldest ? retained : oldest;
  }

  /** Whether an operation, or a part of one, threw. */
  get hasRefused(): boolean {
    return this.#hasRefused;
  }

  /** Runs one operation, or a part of one; if it throws, the draft is as it was before. */
  transact<T>(run: (draft: Draft) => T): T {
    const header = this.#header;
    const settledEntries = this.#settledEntries;
    const entryCount = this.#entries.length;
    const recordCount = this.#records.length;
    const changeCount = this.#changes.length;
    const undoCount = this.#undo.length;
    try {
      return run(this);
    } catch (error) {
      this.#hasRefused = true;
      while (this.#undo.length > undoCount) this.#undo.pop()?.();
      this.#entries.length = entryCount;
      this.#records.length = recordCount;
      this.#changes.length = changeCount;
      this.#header = header;
      this.#settledEntries = settledEntries;
      throw error;
    }
  }

  /** The entry that a request made, if it is still in history. */
  findRequest(key: string): LogEntry | undefined {
    const entry = this.#requests.get(key);
    return entry !== undefined && entry.sequence >= this.#oldestSequence ? entry : undefined;
  }

  agent(agentId: string): AgentRecord | undefined {
    return this.#agents.get(agentId);
  }

  /** Every agent of which anything is known. */
  *agents(): Iterable<AgentRecord> {
    for (const [, record] of this.#agents.entries()) yield record;
  }

  /** How many agents are known. */
  get agentCount(): number {
    return this.#agents.size;
  }

  putAgent(record: AgentRecord): void {
    this.#undo.push(this.#agents.set(record.agentId, record));
  }

  /** Notes that an agent's work moves, for those who look once it is durable. */
  noteMoved(agentId: string): void {
    if (this.#movedAgents.has(agentId)) return;
    this.#movedAgents.add(agentId);
    this.#undo.push(() => this.#movedAgents.delete(agentId));
  }

  removeAgent(agentId: string): void {
    this.#undo.push(this.#agents.set(agentId, undefined));
    this.putRecord({ kind: "baseAgent", key: agentId, value: undefined });
  }

  /** Remembers a resolution; past `maxDependencies` the dependency resolved longest ago is forgotten. */
  putDependency(record: DependencyRecord, maxDependencies: number): void {
    const key = dependencyKey(record.dependencyType, record.dependencyId);
    this.#undo.push(this.#dependencies.set(key, record));
    while (this.#dependencies.size > maxDependencies) {
      const oldest = this.#dependencies.firstKey();
      if (oldest === undefined) return;
      this.removeDependency(oldest);
    }
  }

  hasDependency(key: string): boolean {
    return this.#dependencies.has(key);
  }

  dependency(key: string): DependencyRecord | undefined {
    return this.#dependencies.get(key);
  }

  /** The keys of every dependency that is known. */
  dependencyKeys(): readonly string[] {
    return Array.from(this.#dependencies.entries(), ([key]) => key);
  }

  removeDependency(key: string): void {
    this.#undo.push(this.#dependencies.set(key, undefined));
    this.putRecord({ kind: "baseDependency", key, value: undefined });
  }

  /** Sets or removes a journal record that is not part of the state in memory. */
  putRecord(change: JournalChange): void {
    this.#records.push(change);
  }

  /** Begins the coordination unless it exists. Throws TOO_MANY_COORDINATIONS. */
  begin(): CoordinationHeader {
    return this.header ?? this.#newHeader();
  }

  #newHeader(): CoordinationHeader {
    this.#undo.push(this.#options.countBeginning());
    this.#header = newHeader(this.coordinationId, this.nowMs);
    return this.#header;
  }

  /** Changes the header, counts the change in its revision and notes it for the audit. */
  changeHeader(changes: Partial<CoordinationHeader>, fields: StateChangeFields): CoordinationHeader {
    const header = this.begin();
    const changed = { ...header, ...changes, revision: header.revision + 1n };
    this.#header = changed;
    this.#changes.push({
      sequences: undefined,
      detail: "",
      ...fields,
      timeMs: this.nowMs,
      revisionBefore: header.revision,
      revisionAfter: changed.revision,
    });
    return changed;
  }

  /** Gives a signal the next sequence. */
  append(prepared: PreparedSignal): LogEntry {
    const header = this.#header ?? this.#newHeader();
    const entry = placeSignal(prepared, {
      signalId: nextSignalId(),
      sequence: this.headSequence + 1n,
      timestampMs: Math.max(this.nowMs, header.lastSignalTimeMs),
      acceptedAtMs: this.#options.acceptedAtMs,
    });
    this.#entries.push(entry);
    if (prepared.requestKey !== undefined) this.#undo.push(this.#requests.set(prepared.requestKey, entry));
    return entry;
  }

  /** Has the header tell of the entries that were appended since it last did; for each of them alone it would cost too much. */
  #settleEntries(): void {
    const first = this.#entries[this.#settledEntries];
    const last = this.#entries.at(-1);
    const header = this.#header;
    if (first === undefined || last === undefined || header === undefined) return;
    const headSequence = this.headSequence;
    const oldestSequence = this.#oldestSequence;
    const sentByType = header.sentByType.slice();
    const actors: string[] = [];
    for (let index = this.#settledEntries; index < this.#entries.length; index++) {
      const { type = 0, senderAgentId = "" } = this.#entries[index]?.facts ?? {};
      sentByType[type] = (sentByType[type] ?? 0) + 1;
      if (actors.length < maxActors && !actors.includes(senderAgentId)) actors.push(senderAgentId);
    }
    const revision = header.revision + BigInt(this.#entries.length - this.#settledEntries);
    this.#settledEntries = this.#entries.length;
    const lastSignalTimeMs = last.timestampMs;
    this.#header = { ...header, headSequence, oldestSequence, lastSignalTimeMs, sentByType, revision };
    this.#changes.push({
      kind: "signalsAppended",
      actors,
      sequences: { from: first.sequence, through: last.sequence },
      detail: "",
      timeMs: this.nowMs,
      revisionBefore: header.revision,
      revisionAfter: revision,
    });
  }

  /** Takes the signals after a sequence out of the log; their numbers are not used again. */
  rollBack(toSequence: bigint, fields: StateChangeFields): void {
    const header = this.begin();
    const generation = header.generation + 1;
    const range = { afterSequence: toSequence, throughSequence: header.headSequence, generation };
    this.#removedAfter = toSequence;
    this.subscriptions.rollBack(toSequence);
    this.changeHeader({ generation, removedRanges: withRemovedRange(header.removedRanges, range) }, fields);
  }

  /** Whether signals were taken out, and after which sequence. */
  get removedAfterSequence(): bigint | undefined {
    return this.#removedAfter;
  }

  remove(): void {
    this.#isRemoved = true;
  }

  /** Has the ended waits written that are not yet, even if nothing else changes. Otherwise they go with what does. */
  writeEndedWaits(): void {
    if (this.#header === undefined || this.#endedWaits.size > 0) return;
    const { waiting, dropped } = this.#options.session.endedWaits;
    if (waiting.length === 0 && dropped === 0) return;
    this.#endedWaits = new Set(waiting);
    let number = this.#header.endedWaits + dropped;
    for (const record of waiting) {
      this.#records.push(endedWaitChange(record, number));
      number += 1;
    }
    this.#droppedWaits = dropped;
    if (waiting.length > 0) this.#header = { ...this.#header, endedWaits: number };
  }

  /** The ended waits that are written with it. */
  get endedWaits(): ReadonlySet<EndedWaitRecord> {
    return this.#endedWaits;
  }

  /** How many ended waits are counted with it that are not kept. */
  get droppedWaits(): number {
    return this.#droppedWaits;
  }

  /** What the store has to commit, and the header with it; undefined when nothing changed. To be called once, at the end. */
  toCommitPart(): CommitPart | undefined {
    const { session } = this.#options;
    const expected = session.header && { epoch: session.header.epoch, commits: session.header.commits };
    if (this.#isRemoved) {
      return expected && { action: "remove", coordinationId: session.coordinationId, expected };
    }
    this.#settleEntries();
    if (this.#header === undefined) return undefined;
    if (this.#options.sharesWaits) this.#renewReleased();
    if (this.#header === session.header && this.#journalChanges().length === 0) return undefined;
    this.writeEndedWaits();
    const records = this.#journalChanges();
    const header = { ...this.#header, commits: (session.header?.commits ?? 0n) + 1n };
    this.#header = header;
    return {
      action: "write",
      expected,
      header,
      entries: this.#entries,
      records,
      ...(this.#removedAfter !== undefined && { removeAfterSequence: this.#removedAfter }),
      ...auditTrim(session.header?.revision ?? 0n, header.revision),
    };
  }

  /** Tells other servers with the end of a wait that its agent goes on: they have not seen it end. */
  #renewReleased(): void {
    for (const [waitId, record] of this.#waits?.changes.waits ?? []) {
      const agentId = record === undefined ? this.#options.session.waits.get(waitId)?.agentId : undefined;
      const agent = agentId === undefined ? undefined : this.agent(agentId);
      if (agent === undefined || this.activity.lastProgressMs(agent) <= agent.lastProgressMs) continue;
      this.putAgent(this.activity.renewed(agent, this.nowMs));
    }
  }

  #journalChanges(): JournalChange[] {
    const changes: JournalChange[] = [];
    for (const [key, record] of this.changedAgents) changes.push({ kind: "agent", key, value: encode(record) });
    for (const [key, record] of this.changedDependencies) {
      changes.push({ kind: "dependency", key, value: encode(record) });
    }
    for (const change of this.#waitChanges()) changes.push(change);
    if (this.#subscriptions !== undefined)
      for (const change of this.#subscriptions.journalChanges()) changes.push(change);
    for (const change of this.#records) changes.push(change);
    const header = this.#header;
    if (header !== undefined && this.#changes.length > 0) {
      const value = encodeStateChanges(mergedChanges(this.#changes));
      changes.push({ kind: "audit", key: auditKey(header.revision), value });
    }
    return changes;
  }

  #waitChanges(): readonly JournalChange[] {
    const { sharesWaits, session } = this.#options;
    if (!sharesWaits || this.#header === undefined) return noChanges;
    // Before a coordination exists its waits are in memory only: with its beginning they become records.
    if (session.header === undefined) return this.waits.journalChanges({ all: true });
    return this.#waits?.journalChanges({ all: false }) ?? noChanges;
  }
}

const none: ReadonlySet<never> = new Set();
const noChanges: readonly JournalChange[] = [];

function encode(record: AgentRecord | DependencyRecord | undefined): Uint8Array | undefined {
  return record && Buffer.from(JSON.stringify(record));
}
