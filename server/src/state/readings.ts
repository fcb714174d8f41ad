import type { JournalChange } from "../store/signal-store.js";
import { AgentReading, type OpenReading, type ReadingRecord, type StretchWish } from "./agent-reading.js";

/*
 * What agents were handed is kept as counters are: in memory, written every few seconds, a crash can lose the last ones. Each server
 * writes for itself, under a key of its own. A reader that resumes by its cursor brings back what was lost.
 */

const prefix = "reading/";
/** Agents of which one server keeps what they were handed; subscribing needs no registration, so it has to be bounded here. */
const maxReadingAgents = 10_000;
/** Records in one write: a large coordination takes several. */
const maxRecordsPerWrite = 1_000;

/** Whether a journal record of counters is about what an agent was handed. */
export function isReadingKey(key: string): boolean {
  return key.startsWith(prefix);
}

/** What the agents of one coordination were handed. */
export class Readings {
  readonly #own = new Map<string, AgentReading>();
  /** What other servers on the same store have written, by agent and then by their keys. */
  #foreign = new Map<string, Map<string, ReadingRecord>>();
  readonly #dirty = new Set<string>();

  /** Whether something is to be written. */
  get isDirty(): boolean {
    return this.#dirty.size > 0;
  }

  /** Takes part in what an agent is handed; undefined for one agent too many. */
  open(agentId: string, wish: StretchWish, nowMs: number): OpenReading | undefined {
    const known = this.#own.get(agentId);
    if (known === undefined && this.#own.size >= maxReadingAgents) return undefined;
    const reading = known ?? new AgentReading();
    this.#own.set(agentId, reading);
    this.#dirty.add(agentId);
    return reading.open(wish, nowMs, () => this.#dirty.add(agentId));
  }

  /** What an agent was handed, by all servers, as far as it is known here. */
  of(agentId: string): readonly ReadingRecord[] {
    const own = this.#own.get(agentId);
    const foreign = this.#foreign.get(agentId)?.values() ?? [];
    return [...(own === undefined ? [] : [own.toRecord()]), ...foreign];
  }

  /** Some of what is to be written, as records of this server. They count as written. */
  takeChanges(serverKey: string): readonly JournalChange[] {
    const changes: JournalChange[] = [];
    for (const agentId of this.#dirty) {
      if (changes.length >= maxRecordsPerWrite) break;
      this.#dirty.delete(agentId);
      const record = this.#own.get(agentId)?.toRecord();
      if (record === undefined) continue;
      const key = `${prefix}${serverKey}/${agentId}`;
      changes.push({ kind: "metrics", key, value: Buffer.from(JSON.stringify(record)) });
    }
    return changes;
  }

  /** Everything has to be written again: a write failed, or this server writes under another key from now on. */
  markAllUnwritten(): void {
    for (const agentId of this.#own.keys()) this.#dirty.add(agentId);
  }

  /** Takes over a journal record; one of this server only where it knows nothing newer. */
  restore(key: string, value: Uint8Array, serverKey: string): void {
    const [, server = "", ...rest] = key.split("/");
    const agentId = rest.join("/");
    const record: ReadingRecord = JSON.parse(Buffer.from(value).toString());
    if (server === serverKey) {
      if (!this.#own.has(agentId)) this.#own.set(agentId, new AgentReading(record));
      return;
    }
    const records = this.#foreign.get(agentId) ?? new Map<string, ReadingRecord>();
    this.#foreign.set(agentId, records.set(server, record));
  }

  forgetForeign(): void {
    this.#foreign = new Map();
  }

  clear(): void {
    this.#own.clear();
    this.#dirty.clear();
    this.forgetForeign();
  }
}
