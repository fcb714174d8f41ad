import type { JournalChange } from "../store/signal-store.js";
import { DraftMap, type Undo } from "./draft-map.js";
import { type WaitRecord, waitKey, waitOwnerKey } from "./wait-record.js";

/** The open waits that a draft starts from. */
export interface OpenWaitState {
  readonly waits: ReadonlyMap<string, WaitRecord>;
  readonly waitOwners: ReadonlyMap<string, number>;
  waitsOf(agentId: string): Iterable<WaitRecord>;
}

/** What changes of open waits; undefined values are removals. */
export interface WaitChanges {
  /** By the wait's id. */
  readonly waits: ReadonlyMap<string, WaitRecord | undefined>;
  /** When each server with open waits was last heard of, in milliseconds. */
  readonly owners: ReadonlyMap<string, number | undefined>;
  /** Whether a wait was put that may leave agents waiting for each other, now or when somebody goes away. */
  readonly mayBlock: boolean;
}

/** The next version of a coordination's open waits: the part of a draft that is about them. */
export class WaitDraft {
  readonly #base: OpenWaitState;
  readonly #noteUndo: (undo: Undo) => void;
  readonly #waits: DraftMap<WaitRecord>;
  readonly #owners: DraftMap<number>;
  /** For each agent, the waits of it that were put; some may be gone again. */
  readonly #putOf = new Map<string, Set<string>>();
  #mayBlock = false;

  /** `noteUndo` takes a change back when the operation that made it throws. */
  constructor(base: OpenWaitState, noteUndo: (undo: Undo) => void) {
    this.#base = base;
    this.#noteUndo = noteUndo;
    this.#waits = new DraftMap(base.waits);
    this.#owners = new DraftMap(base.waitOwners);
  }

  get changes(): WaitChanges {
    return { waits: this.#waits.changes, owners: this.#owners.changes, mayBlock: this.#mayBlock };
  }

  /** How many are open. */
  get count(): number {
    return this.#waits.size;
  }

  get(waitId: string): WaitRecord | undefined {
    return this.#waits.get(waitId);
  }

  /** Every open wait, also of servers that may be gone. */
  *all(): Iterable<WaitRecord> {
    for (const [, record] of this.#waits.entries()) yield record;
  }

  /** The open waits of an agent, also of servers that may be gone. */
  ofAgent(agentId: string): readonly WaitRecord[] {
    const waitIds = new Set(Array.from(this.#base.waitsOf(agentId), ({ waitId }) => waitId));
    for (const waitId of this.#putOf.get(agentId) ?? []) waitIds.add(waitId);
    return [...waitIds].flatMap((waitId) => this.#waits.get(waitId) ?? []);
  }

  /** Opens a wait, or changes it. `mayBlock` is false where it is known that its agent waits for nobody who waits for it. */
  put(record: WaitRecord, mayBlock = true): void {
    this.#mayBlock ||= mayBlock;
    const own = this.#putOf.get(record.agentId) ?? new Set<string>();
    this.#putOf.set(record.agentId, own.add(record.waitId));
    this.#noteUndo(this.#waits.set(record.waitId, record));
  }

  remove(waitId: string): void {
    if (this.#waits.has(waitId)) this.#noteUndo(this.#waits.set(waitId, undefined));
  }

  /** When each server with open waits was last heard of, in milliseconds. */
  owners(): ReadonlyMap<string, number> {
    return new Map(this.#owners.entries());
  }

  /** Notes when a server with open waits was heard of; undefined forgets it. */
  putOwner(owner: string, heardMs: number | undefined): void {
    this.#noteUndo(this.#owners.set(owner, heardMs));
  }

  /** The changes as journal records; `all` has every wait become one, which before the coordination began was in memory only. */
  journalChanges({ all }: { readonly all: boolean }): JournalChange[] {
    const changes: JournalChange[] = [];
    for (const [waitId, record] of all ? this.#waits.entries() : this.#waits.changes) {
      changes.push({ kind: "wait", key: waitKey(waitId), value: record && Buffer.from(JSON.stringify(record)) });
    }
    for (const [owner, heardMs] of all ? this.#owners.entries() : this.#owners.changes) {
      const value = heardMs === undefined ? undefined : Buffer.from(String(heardMs));
      changes.push({ kind: "wait", key: waitOwnerKey(owner), value });
    }
    return changes;
  }
}
