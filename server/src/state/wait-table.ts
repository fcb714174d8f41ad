import type { WaitRecord } from "./wait-record.js";

const none: readonly WaitRecord[] = [];

/** Open waits by id, and for each agent its own: what others wait for is followed from agent to agent. */
export class WaitTable {
  readonly #all = new Map<string, WaitRecord>();
  /** Most agents have one wait: a map for each of them would be the larger part of what a wait holds. */
  readonly #byAgent = new Map<string, WaitRecord | Map<string, WaitRecord>>();

  get all(): ReadonlyMap<string, WaitRecord> {
    return this.#all;
  }

  ofAgent(agentId: string): Iterable<WaitRecord> {
    const own = this.#byAgent.get(agentId);
    if (own === undefined) return none;
    return own instanceof Map ? own.values() : [own];
  }

  /** Sets a wait, or removes it where it is undefined. */
  set(waitId: string, record: WaitRecord | undefined): void {
    this.#remove(waitId);
    if (record === undefined) return;
    this.#all.set(waitId, record);
    const own = this.#byAgent.get(record.agentId);
    if (own === undefined) this.#byAgent.set(record.agentId, record);
    else if (own instanceof Map) own.set(waitId, record);
    else this.#byAgent.set(record.agentId, new Map([own, record].map((each) => [each.waitId, each])));
  }

  #remove(waitId: string): void {
    const before = this.#all.get(waitId);
    if (before === undefined) return;
    this.#all.delete(waitId);
    const own = this.#byAgent.get(before.agentId);
    if (own instanceof Map) own.delete(waitId);
    if (!(own instanceof Map) || own.size === 0) this.#byAgent.delete(before.agentId);
  }
}
