import type { ClientBase } from "pg";
import type { InspectionFindings } from "../inspection-findings.js";
import type { CoordinationHeader } from "../signal-store.js";
import type { InspectedCoordination } from "../store-maintenance.js";
import {
  changeFromRow,
  entryFromRow,
  type HeaderRow,
  headerFromRow,
  type JournalRow,
  type SignalRow,
} from "./postgres-records.js";
import { schemaName } from "./postgres-schema.js";
import { streamRows } from "./stream-rows.js";

/*
 * Reads every row of every table in the order of the coordinations' ordinals, in one transaction and so in one state of the
 * database. In memory are the headers and one page of rows, whatever there is.
 */

interface Tally {
  readonly header: CoordinationHeader;
  readonly requestCount: number;
  readonly recordCount: number;
  signals: number;
  /** Requests in the signals' rows, and in the index that finds them. */
  requests: number;
  indexedRequests: number;
  records: number;
  /** The last signal seen. */
  lastSequence: bigint;
  lastRequest: LastRequest | undefined;
}

interface LastRequest {
  readonly key: Buffer;
  readonly sequence: bigint;
}

interface CountedHeaderRow extends HeaderRow {
  readonly ordinal: string;
  readonly head_sequence: string;
  readonly trimmed_through: string;
  readonly request_count: string;
  readonly record_count: string;
}

interface Ordinal {
  readonly ordinal: string;
}

type StoredSignalRow = SignalRow & Ordinal;
type StoredJournalRow = JournalRow & Ordinal & { readonly commits: string };

/** Looks for damage in a database, and changes nothing. */
export class PostgresInspection {
  readonly #client: ClientBase;
  readonly #findings: InspectionFindings;
  readonly #tallies = new Map<string, Tally>();
  /** Those whose rows are not looked at: removed ones that wait to be swept, those that have no sound header. */
  readonly #skipped = new Set<string>();

  /** The client is in a transaction that shows it one state of the database. */
  constructor(client: ClientBase, findings: InspectionFindings) {
    this.#client = client;
    this.#findings = findings;
  }

  /** Inspects everything; answers the coordinations. */
  async run(): Promise<readonly InspectedCoordination[]> {
    // Rows are read through the indexes that the server reads through, so that what these do not find is missed.
    await this.#client.query(
      "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off",
    );
    await this.#each<CountedHeaderRow>("coordinations", "ordinal", (row) => this.#inspectHeader(row));
    await this.#each<Ordinal>("garbage", "ordinal", ({ ordinal }) => this.#skipped.add(ordinal));
    await this.#each<StoredSignalRow>("signals", "ordinal, sequence", (row) => this.#inspectSignal(row));
    await this.#each<StoredJournalRow>("journal", "ordinal, kind, key", (row) => this.#inspectRecord(row));
    await this.#inspectRequests();
    for (const tally of this.#tallies.values()) this.#checkTally(tally);
    return [...this.#tallies.values()].map(coordinationOf);
  }

  async #each<Row extends object>(table: string, order: string, inspect: (row: Row) => void): Promise<void> {
    const query = `SELECT * FROM ${schemaName}.${table} ORDER BY ${order}`;
    for await (const row of streamRows<Row>(this.#client, table, query)) this.#findings.row(() => inspect(row));
  }

  #inspectHeader(row: CountedHeaderRow): void {
    this.#skipped.add(row.ordinal);
    const header = headerFromRow(row);
    this.#skipped.delete(row.ordinal);
    this.#tallies.set(row.ordinal, {
      header,
      requestCount: Number(row.request_count),
      recordCount: Number(row.record_count),
      signals: 0,
      requests: 0,
      indexedRequests: 0,
      records: 0,
      lastSequence: header.trimmedThroughSequence,
      lastRequest: undefined,
    });
    const { head_sequence: head, trimmed_through: trimmed } = row;
    if (BigInt(head) === header.headSequence && BigInt(trimmed) === header.trimmedThroughSequence) return;
    this.#findings.damage(
      `the row of "${row.id}" says head ${head}, trimmed through ${trimmed}; its header ${header.headSequence} and ${header.trimmedThroughSequence}`,
    );
  }

  #inspectSignal(row: StoredSignalRow): void {
    const tally = this.#tallyOf(row, "signals");
    if (tally === undefined) return;
    const { coordinationId, removedRanges } = tally.header;
    const sequence = BigInt(row.sequence);
    tally.signals += 1;
    if (row.request_key !== null) tally.requests += 1;
    this.#findings.join(coordinationId, removedRanges, [tally.lastSequence, sequence]);
    tally.lastSequence = sequence;
    const { signal } = entryFromRow(coordinationId, row);
    if (signal.coordinationId === coordinationId && signal.sequence === sequence) return;
    this.#findings.damage(
      `signal ${sequence} of "${coordinationId}" says it is ${signal.sequence} of "${signal.coordinationId}"`,
    );
  }

  #inspectRecord(row: StoredJournalRow): void {
    const tally = this.#tallyOf(row, "journal records");
    if (tally === undefined) return;
    const { coordinationId, commits } = tally.header;
    tally.records += 1;
    const { kind, key } = changeFromRow(coordinationId, row);
    if (BigInt(row.commits) <= commits) return;
    this.#findings.damage(
      `journal record ${kind} "${key}" of "${coordinationId}" is of commit ${row.commits}, the last one is ${commits}`,
    );
  }

  /** These rows were counted already: here it is their index that is looked at. */
  async #inspectRequests(): Promise<void> {
    const query = `SELECT ordinal, request_key, sequence FROM ${schemaName}.signals
      WHERE request_key IS NOT NULL ORDER BY ordinal, request_key, sequence`;
    const rows = streamRows<Ordinal & { request_key: Buffer; sequence: string }>(this.#client, "requests", query);
    for await (const { ordinal, request_key: key, sequence } of rows) {
      const tally = this.#tallies.get(ordinal);
      if (tally !== undefined) this.#inspectRequest(tally, { key, sequence: BigInt(sequence) });
    }
  }

  #inspectRequest(tally: Tally, request: LastRequest): void {
    const { lastRequest: last, header } = tally;
    tally.indexedRequests += 1;
    tally.lastRequest = request;
    // A request can be made again once its signal has left the history.
    if (last === undefined || !last.key.equals(request.key) || last.sequence < header.oldestSequence) return;
    this.#findings.damage(
      `one request of "${header.coordinationId}" made both signal ${last.sequence} and ${request.sequence}`,
    );
  }

  #checkTally(tally: Tally): void {
    const { header, lastSequence, requests, indexedRequests, requestCount, records, recordCount } = tally;
    const id = header.coordinationId;
    this.#findings.join(id, header.removedRanges, [lastSequence, header.headSequence + 1n]);
    this.#findings.count(id, "requests", requests, requestCount);
    this.#findings.count(id, "requests in their index", indexedRequests, requests);
    this.#findings.count(id, "journal records", records, recordCount);
  }

  /** The coordination that a row belongs to; undefined where its rows are not looked at. */
  #tallyOf({ ordinal }: Ordinal, rows: string): Tally | undefined {
    const tally = this.#tallies.get(ordinal);
    if (tally !== undefined || this.#skipped.has(ordinal)) return tally;
    this.#skipped.add(ordinal);
    this.#findings.damage(`${rows} under number ${ordinal} belong to no coordination`);
    return undefined;
  }
}

function coordinationOf({ header, signals, records }: Tally): InspectedCoordination {
  return {
    coordinationId: header.coordinationId,
    epoch: header.epoch,
    headSequence: header.headSequence,
    oldestSequence: header.oldestSequence,
    signalCount: signals,
    journalRecordCount: records,
  };
}
