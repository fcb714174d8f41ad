import type { LogEntry } from "../../model/log-entry.js";
import { requestDigest } from "../request-digest.js";
import type {
  CommitOutcome,
  CommitPart,
  CoordinationHeader,
  ForeignChanges,
  JournalRange,
  JournalRecord,
  KnownCoordination,
  LogRange,
  SharedStore,
  SignalStore,
  StoredCoordination,
} from "../signal-store.js";
import { byteaArray, int8Array, textArray } from "./binary-arrays.js";
import { ChangeWatcher } from "./change-watcher.js";
import { commitStatement, commitValues, idOf } from "./commit-statement.js";
import type { ConnectionSettings } from "./connection-settings.js";
import { ControlConnection } from "./control-connection.js";
import { readForeignChanges } from "./foreign-changes.js";
import { Housekeeper } from "./housekeeper.js";
import { PostgresConnections, type Statement, type StatementRunner } from "./postgres-connections.js";
import {
  type CountsRow,
  checkCount,
  entryFromRow,
  type HeaderRow,
  headerFromRow,
  type JournalRow,
  kindNumber,
  recordFromRow,
  type SignalRow,
} from "./postgres-records.js";
import {
  countRequestsStatement,
  findChangedStatement,
  findRequestsStatement,
  listStatement,
  loadStatement,
  lockStatement,
  readBackwardStatement,
  readForwardStatement,
  readJournalBackStatement,
  readJournalStatement,
} from "./read-statements.js";

/** Parts in one statement: its joins cost more than in proportion to their number. */
const maxPartsPerStatement = 64;
/** Coordinations in one look for changes. */
const maxKnownPerStatement = 1_000;
/** Incarnations whose requests were counted since the process began; the rest are counted when they come. */
const maxCounted = 100_000;
const beforeAllKeys = Buffer.alloc(0);
/** No text in UTF-8 has this byte. */
const afterAllKeys = Buffer.of(0xff);

type LoadedRow = ({ readonly part: "header" } & HeaderRow & CountsRow) | ({ readonly part: "journal" } & JournalRow);

/** A store in a PostgreSQL database that several servers can share. */
export class PostgresSignalStore implements SignalStore {
  readonly url: string;
  readonly isDurable = true;
  readonly failureIsFatal = false;
  readonly shared: SharedStore;
  readonly #connections: PostgresConnections;
  readonly #control: ControlConnection;
  readonly #housekeeper: Housekeeper;
  readonly #commits = new Set<Promise<unknown>>();
  readonly #counted = new Set<string>();
  #watcher: ChangeWatcher | undefined;
  #availabilityListener: (isAvailable: boolean) => void = () => undefined;
  #count: number;
  #closing: Promise<void> | undefined;

  /** Reaches no database yet; `open` does. */
  constructor(options: { readonly settings: ConnectionSettings; readonly count: number }) {
    this.url = options.settings.url;
    this.#count = options.count;
    this.#control = new ControlConnection({
      settings: options.settings,
      onAvailability: (isAvailable) => this.#changeAvailability(isAvailable),
      onHint: (coordinationIds) => this.#watcher?.hear(coordinationIds),
    });
    this.#connections = new PostgresConnections({
      settings: options.settings,
      isAway: () => !this.#control.isAvailable,
      onTrouble: () => this.#control.check(),
    });
    this.#housekeeper = new Housekeeper(this.#connections, (count) => {
      this.#count = count;
    });
    this.shared = this.#share();
  }

  /** Takes a place among the servers. To be called once, before anything else. */
  async open(): Promise<void> {
    await this.#control.open();
  }

  commit(parts: readonly CommitPart[]): Promise<readonly CommitOutcome[]> {
    return this.#tracked(async () => {
      const outcomes: CommitOutcome[] = [];
      for (let start = 0; start < parts.length; start += maxPartsPerStatement) {
        const some = parts.slice(start, start + maxPartsPerStatement);
        outcomes.push(...(await this.#write(this.#connections.write, some)));
        this.#announce(some, outcomes.slice(start));
      }
      return outcomes;
    });
  }

  async load(coordinationId: string): Promise<StoredCoordination | undefined> {
    const rows = await this.#connections.read<LoadedRow>(loadStatement, [coordinationId]);
    const headerRow = rows.find((row) => row.part === "header");
    if (headerRow === undefined) return undefined;
    checkCount(headerRow, coordinationId, "journal records");
    return {
      header: headerFromRow(headerRow),
      records: rows.flatMap((row) => (row.part === "journal" ? recordFromRow(coordinationId, row) : [])),
    };
  }

  async readJournal(range: JournalRange): Promise<readonly JournalRecord[]> {
    const { coordinationId, epoch, kind, fromKey, descending = false, limit } = range;
    const statement = descending ? readJournalBackStatement : readJournalStatement;
    const end = descending ? afterAllKeys : beforeAllKeys;
    const rows = await this.#connections.read<JournalRow>(statement, [
      coordinationId,
      epoch,
      kindNumber(kind),
      fromKey === undefined ? end : Buffer.from(fromKey),
      limit,
    ]);
    return rows.map((row) => recordFromRow(coordinationId, row));
  }

  readForward(range: LogRange): Promise<readonly LogEntry[]> {
    return this.#readRange(readForwardStatement, range);
  }

  readBackward(range: LogRange): Promise<readonly LogEntry[]> {
    return this.#readRange(readBackwardStatement, range);
  }

  async findRequests(
    coordinationId: string,
    epoch: string,
    keys: readonly string[],
  ): Promise<readonly (LogEntry | undefined)[]> {
    if (!this.#counted.has(epoch)) await this.#countRequests(coordinationId, epoch);
    const digests = keys.map(requestDigest);
    const values = [coordinationId, epoch, byteaArray(digests)];
    const rows = await this.#connections.read<SignalRow>(findRequestsStatement, values);
    // The newest of several is the last one.
    const found = new Map(rows.map((row) => [row.request_key?.toString("latin1"), row]));
    return digests.map((digest) => {
      const row = found.get(digest.toString("latin1"));
      return row && entryFromRow(coordinationId, row);
    });
  }

  async list(afterId: string, limit: number): Promise<readonly CoordinationHeader[]> {
    const rows = await this.#connections.read<HeaderRow>(listStatement, [afterId, limit]);
    return rows.map(headerFromRow);
  }

  count(): number {
    return this.#count;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#watcher?.close();
    await this.#housekeeper.close();
    await Promise.allSettled(this.#commits);
    await this.#connections.close();
    await this.#control.close();
  }

  #share(): SharedStore {
    const control = this.#control;
    const findChanged = (known: readonly KnownCoordination[]) => this.#findChanged(known);
    return {
      get serverSlot() {
        return control.slot;
      },
      findChanged,
      changesSince: (known) => readForeignChanges(this.#connections.read, known),
      commitLocked: (known, build) => this.#tracked(() => this.#commitLocked(known, build)),
      watch: (residents, listener) => {
        this.#watcher = new ChangeWatcher({ findChanged, residents, listener });
      },
      watchAvailability: (listener) => {
        this.#availabilityListener = listener;
        if (!control.isAvailable) listener(false);
      },
    };
  }

  /** Most requests are new, and one that is not found is taken for new: so first, once, whether all are there. */
  async #countRequests(coordinationId: string, epoch: string): Promise<void> {
    const [row] = await this.#connections.read<CountsRow>(countRequestsStatement, [coordinationId, epoch]);
    if (row === undefined) return;
    checkCount(row, coordinationId, "requests");
    if (this.#counted.size >= maxCounted) this.#counted.clear();
    this.#counted.add(epoch);
  }

  async #findChanged(known: readonly KnownCoordination[]): Promise<readonly string[]> {
    const changed: string[] = [];
    for (let start = 0; start < known.length; start += maxKnownPerStatement) {
      const some = known.slice(start, start + maxKnownPerStatement);
      const rows = await this.#connections.read<{ id: string }>(findChangedStatement, [
        textArray(some.map(({ coordinationId }) => coordinationId)),
        textArray(some.map(({ version }) => version?.epoch)),
        int8Array(some.map(({ version }) => version?.commits)),
      ]);
      for (const { id } of rows) changed.push(id);
    }
    return changed;
  }

  async #commitLocked(
    known: readonly KnownCoordination[],
    build: (changes: ReadonlyMap<string, ForeignChanges>) => Promise<readonly CommitPart[]>,
  ): Promise<readonly CommitOutcome[]> {
    const [parts, outcomes] = await this.#connections.transaction(async (run) => {
      // One that does not exist has no row to lock: two servers may try to begin it, and the second finds it begun.
      await run(lockStatement, [textArray(known.map(({ coordinationId }) => coordinationId))]);
      const changes = new Map<string, ForeignChanges>();
      for (const each of known) {
        const changed = await readForeignChanges(run, each);
        if (changed !== undefined) changes.set(each.coordinationId, changed);
      }
      const built = await build(changes);
      return [built, built.length === 0 ? [] : await this.#write(run, built)] as const;
    });
    this.#announce(parts, outcomes);
    return outcomes;
  }

  async #write(run: StatementRunner, parts: readonly CommitPart[]): Promise<readonly CommitOutcome[]> {
    const rows = await run<{ part: number; is_repeated: boolean }>(commitStatement, commitValues(parts));
    const outcomes = new Array<CommitOutcome>(parts.length).fill("conflict");
    for (const { part, is_repeated } of rows) outcomes[part] = is_repeated ? "repeated" : "committed";
    return outcomes;
  }

  /** Counts and tells the other servers what was committed. */
  #announce(parts: readonly CommitPart[], outcomes: readonly CommitOutcome[]): void {
    const committed = parts.filter((_, index) => outcomes[index] === "committed");
    for (const part of committed) {
      if (part.action === "remove") this.#count -= 1;
      else if (part.expected === undefined) this.#count += 1;
    }
    if (committed.length > 0) this.#control.hint(committed.map(idOf));
  }

  async #readRange(statement: Statement, range: LogRange): Promise<readonly LogEntry[]> {
    const { coordinationId, epoch, fromSequence, maxEntries, maxBytes } = range;
    const values = [coordinationId, epoch, fromSequence, maxEntries, maxBytes];
    const rows = await this.#connections.read<SignalRow>(statement, values);
    return rows.map((row) => entryFromRow(coordinationId, row));
  }

  #changeAvailability(isAvailable: boolean): void {
    if (isAvailable) this.#connections.renew();
    this.#availabilityListener(isAvailable);
  }

  async #tracked<T>(use: () => Promise<T>): Promise<T> {
    const commit = use();
    this.#commits.add(commit);
    try {
      return await commit;
    } finally {
      this.#commits.delete(commit);
    }
  }
}
