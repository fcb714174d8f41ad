import type { LogEntry } from "../model/log-entry.js";
import type { PreparedSignal } from "../model/prepared-signal.js";
import type { CommitPart, CoordinationHeader, JournalChange } from "../store/signal-store.js";
import type { AgentActivity } from "./agent-activity.js";
import type { AgentRecord } from "./agent-record.js";
import { type DependencyRecord, dependencyKey } from "./dependency-record.js";
import { DraftMap, type Undo } from "./draft-map.js";
import { type EndedWaitRecord, endedWaitChange } from "./ended-wait.js";
import { LogDraft, type LogDraftOptions } from "./log-draft.js";
import type { SubscriptionChanges } from "./named-subscriptions.js";
import type { SessionState } from "./session-state.js";
import { auditTrim, type StateChangeFields } from "./state-change.js";
import { SubscriptionDraft } from "./subscription-draft.js";
import { type WaitChanges, WaitDraft } from "./wait-draft.js";

/** What a draft is made with. */
export interface DraftOptions extends Omit<LogDraftOptions, "coordinationId" | "header" | "noteUndo"> {
  readonly session: SessionState;
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
  readonly #log: LogDraft;
  readonly #agents: DraftMap<AgentRecord>;
  readonly #dependencies: DraftMap<DependencyRecord>;
  readonly #requests: DraftMap<LogEntry>;
  #waits: WaitDraft | undefined;
  #subscriptions: SubscriptionDraft | undefined;
  readonly #records: JournalChange[] = [];
  readonly #movedAgents = new Set<string>();
  #endedWaits: ReadonlySet<EndedWaitRecord> = none;
  #droppedWaits = 0;
  #isRemoved = false;
  #hasRefused = false;
  readonly #undo: Undo[] = [];

  constructor(options: DraftOptions) {
    this.#options = options;
    const { coordinationId, header } = options.session;
    this.#log = new LogDraft({ ...options, coordinationId, header, noteUndo: this.#noteUndo });
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
    return this.#log.header;
  }

  /** What signals cannot change of the header, and what costs them less than the header does. */
  get constants(): LogDraft["constants"] {
    return this.#log.constants;
  }

  get entries(): readonly LogEntry[] {
    return this.#log.entries;
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
    return this.#log.headSequence;
  }

  /** Whether an operation, or a part of one, threw. */
  get hasRefused(): boolean {
    return this.#hasRefused;
  }

  /** Runs one operation, or a part of one; if it throws, the draft is as it was before. */
  transact<T>(run: (draft: Draft) => T): T {
    const mark = this.#log.mark();
    const recordCount = this.#records.length;
    const undoCount = this.#undo.length;
    try {
      return run(this);
    } catch (error) {
      this.#hasRefused = true;
      while (this.#undo.length > undoCount) this.#undo.pop()?.();
      this.#records.length = recordCount;
      this.#log.reset(mark);
      throw error;
    }
  }

  /** The entry that a request made, if it is still in history. */
  findRequest(key: string): LogEntry | undefined {
    const entry = this.#requests.get(key);
    return entry !== undefined && entry.sequence >= this.#log.oldestSequence ? entry : undefined;
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
    return this.#log.begin();
  }

  /** Changes the header, counts the change in its revision and notes it for the audit. */
  changeHeader(changes: Partial<CoordinationHeader>, fields: StateChangeFields): CoordinationHeader {
    return this.#log.changeHeader(changes, fields);
  }

  /** Gives a signal the next sequence. */
  append(prepared: PreparedSignal): LogEntry {
    const entry = this.#log.append(prepared);
    if (prepared.requestKey !== undefined) this.#undo.push(this.#requests.set(prepared.requestKey, entry));
    return entry;
  }

  /** Takes the signals after a sequence out of the log; their numbers are not used again. */
  rollBack(toSequence: bigint, fields: StateChangeFields): void {
    this.subscriptions.rollBack(toSequence);
    this.#log.rollBack(toSequence, fields);
  }

  /** Whether signals were taken out, and after which sequence. */
  get removedAfterSequence(): bigint | undefined {
    return this.#log.removedAfterSequence;
  }

  remove(): void {
    this.#isRemoved = true;
  }

  /** Has the ended waits written that are not yet, even if nothing else changes. Otherwise they go with what does. */
  writeEndedWaits(): void {
    const { constants } = this.#log;
    if (constants === undefined || this.#endedWaits.size > 0) return;
    const { waiting, dropped } = this.#options.session.endedWaits;
    if (waiting.length === 0 && dropped === 0) return;
    this.#endedWaits = new Set(waiting);
    let number = constants.endedWaits + dropped;
    for (const record of waiting) {
      this.#records.push(endedWaitChange(record, number));
      number += 1;
    }
    this.#droppedWaits = dropped;
    if (waiting.length > 0) this.#log.countEndedWaits(number);
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
    if (this.#log.header === undefined) return undefined;
    if (this.#options.sharesWaits) this.#renewReleased();
    if (this.#log.header === session.header && this.#journalChanges().length === 0) return undefined;
    this.writeEndedWaits();
    const records = this.#journalChanges();
    const header = this.#log.countCommit();
    const { removedAfterSequence } = this.#log;
    return {
      action: "write",
      expected,
      header,
      entries: this.#log.entries,
      records,
      ...(removedAfterSequence !== undefined && { removeAfterSequence: removedAfterSequence }),
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
    const audit = this.#log.auditChange();
    if (audit !== undefined) changes.push(audit);
    return changes;
  }

  #waitChanges(): readonly JournalChange[] {
    const { sharesWaits, session } = this.#options;
    if (!sharesWaits || this.#log.constants === undefined) return noChanges;
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
