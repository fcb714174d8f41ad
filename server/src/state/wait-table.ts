import type { WaitRecord } from "./wait-record.js";

const none: ReadonlyMap<string, WaitRecord> = new Map();

/** Open waits by id, and for each agent its own: what others wait for is followed from agent to agent. */
export class WaitTable {
  readonly #all = new Map<string, WaitRecord>();
  readonly #byAgent = new Map<string, Map<string, WaitRecord>>();

  get all(): ReadonlyMap<string, WaitRecord> {
    return this.#all;
  }

  ofAgent(agentId: string): ReadonlyMap<string, WaitRecord> {
    return this.#byAgent.get(agentId) ?? none;
  }

  /** Sets a wait, or removes it where it is undefined. */
  set(waitId: string, record: WaitRecord | undefined): void {
    this.#remove(waitId);
    if (record === undefined) return;
    this.#all.set(waitId, record);
    const own = this.#byAgent.get(record.agentId) ?? new Map<string, WaitRecord>();
    this.#byAgent.set(record.agentId, own.set(waitId, record));
  }

  #remove(waitId: string): void {
    const before = this.#all.get(waitId);
    if (before === undefined) return;
    this.#all.delete(waitId);
    const own = this.#byAgent.get(before.agentId);
    own?.delete(waitId);
    if (own?.size === 0) this.#byAgent.delete(before.agentId);
  }
}
