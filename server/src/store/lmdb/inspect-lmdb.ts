import type { LogEntry } from "../../model/log-entry.js";
import type { InspectionFindings } from "../inspection-findings.js";
import { nextSequence } from "../next-sequence.js";
import { type HashSeed, requestHash, seedFromBytes } from "../request-hash.js";
import type { InspectedCoordination, InspectionReport } from "../store-maintenance.js";
import { type StoredHeader, unsealHeader } from "./header-row.js";
import {
  countRecords,
  headerKey,
  isHeaderKey,
  journalKinds,
  journalNameFromKey,
  logKey,
  noCounts,
  ordinalFromKey,
  prefixEnd,
  readableVersions,
  recordCount,
  schemaVersion,
  space,
  unseal,
} from "./lmdb-records.js";
import { LogChunk } from "./log-chunk.js";
import type { RowSource } from "./overlaid-rows.js";
import { RequestRow } from "./request-row.js";

interface Tally {
  readonly stored: StoredHeader;
  signalCount: number;
  readonly counts: number[];
  recordCount: number;
  /** The last log row seen. */
  lastSequence: bigint;
  /** The last signal that a row of requests seen has. */
  requestsThrough: bigint;
}

/**
 * Reads every row once, in the order of keys, in one turn of the event loop and so in one state of the store: checks every
 * checksum, that logs have no gaps but those that rollbacks made, that requests have the hashes by which they are found, that
 * their own rows, for which the log is read again, have the same, and the counts.
 */
export class LmdbInspection {
  readonly #rows: RowSource;
  readonly #findings: InspectionFindings;
  readonly #tallies = new Map<number, Tally>();
  readonly #garbage = new Set<number>();
  #countRow = 0;
  #seed: HashSeed | undefined;

  constructor(rows: RowSource, findings: InspectionFindings) {
    this.#rows = rows;
    this.#findings = findings;
  }

  run(store: string): InspectionReport {
    for (const { key } of this.#rowsOf(space.garbage)) this.#garbage.add(ordinalFromKey(key));
    // Rows that come before their header's tell nothing without it.
    for (const { key, value } of this.#rowsOf(space.coordination)) {
      this.#findings.look(() => this.#openTally(key, value));
    }
    for (const { key, value } of this.#rows.getRange({})) {
      this.#findings.row(() => this.#inspectRow(key, value));
    }
    for (const tally of this.#tallies.values()) this.#checkTally(tally);
    if (this.#countRow !== this.#tallies.size) {
      this.#damage(`there are ${this.#tallies.size} coordinations, there should be ${this.#countRow}`);
    }
    const coordinations = [...this.#tallies.values()].map(coordinationOf);
    const { rowCount, damages } = this.#findings;
    return { store, guarantees: [], rowCount, coordinations, damages };
  }

  #inspectRow(key: Uint8Array, value: Uint8Array): void {
    switch (key[0]) {
      case space.meta:
        this.#inspectMeta(key, value);
        break;
      case space.coordination:
        // Looked into first.
        break;
      case space.journal:
        this.#inspectRecord(key, value);
        break;
      case space.log:
        if (isHeaderKey(key)) this.#tallyOf(key);
        else this.#inspectChunk(key, value);
        break;
      case space.garbage:
        unseal(key, value);
        break;
      case space.requests:
        this.#inspectRequests(key, value);
        break;
      default:
        this.#damage(`row ${Buffer.from(key).toString("hex")} is of no known kind`);
    }
  }

  #openTally(key: Uint8Array, value: Uint8Array): void {
    const coordinationId = Buffer.from(key.subarray(1)).toString();
    const ordinal = unseal(key, value).readUInt32BE();
    const row = headerKey(ordinal);
    const sealed = this.#rows.getBinary(row);
    const stored = sealed && unsealHeader(ordinal, row, sealed);
    if (stored?.header.coordinationId !== coordinationId) {
      this.#damage(`the header of "${coordinationId}" is ${stored === undefined ? "missing" : "another one's"}`);
      return;
    }
    const tally = { stored, signalCount: 0, counts: [...noCounts], recordCount: 0 };
    const { trimmedThroughSequence: trimmed } = stored.header;
    this.#tallies.set(ordinal, { ...tally, lastSequence: trimmed, requestsThrough: trimmed });
  }

  #inspectMeta(key: Uint8Array, value: Uint8Array): void {
    const name = Buffer.from(key.subarray(1)).toString();
    const bytes = unseal(key, value);
    if (name === "seed") this.#seed = seedFromBytes(bytes);
    if (name === "seed" || name === "applied") return;
    const number = bytes.readUInt32BE();
    if (name === "count") this.#countRow = number;
    if (name === "schema" && !readableVersions.includes(number)) {
      this.#damage(`the layout is ${number}, this server knows ${schemaVersion}`);
    }
  }

  #inspectRecord(key: Uint8Array, value: Uint8Array): void {
    unseal(key, value);
    const tally = this.#tallyOf(key);
    if (tally === undefined) return;
    tally.recordCount += 1;
    countRecords(tally.counts, journalNameFromKey(key).kind, 1);
  }

  #inspectChunk(key: Uint8Array, value: Uint8Array): void {
    const chunk = LogChunk.open(key, value);
    const tally = this.#tallyOf(key);
    if (tally === undefined) return;
    for (let index = 0; index < chunk.count; index++) {
      const entry = chunk.entryAt(index);
      // The first row may begin with what was trimmed.
      if (entry.sequence > tally.stored.header.trimmedThroughSequence) {
        this.#inspectEntry(tally, entry, chunk.hashAt(index));
      }
    }
  }

  #inspectEntry(tally: Tally, { signal, sequence, requestKey }: LogEntry, hash: number): void {
    const { coordinationId } = tally.stored.header;
    tally.signalCount += 1;
    this.#checkJoins(tally, sequence);
    tally.lastSequence = sequence;
    if (signal.coordinationId !== coordinationId || signal.sequence !== sequence) {
      this.#damage(
        `signal ${sequence} of "${coordinationId}" says it is ${signal.sequence} of "${signal.coordinationId}"`,
      );
    }
    const expected = requestKey === undefined || this.#seed === undefined ? 0 : requestHash(this.#seed, requestKey);
    if (hash !== expected) this.#damage(`the request that made signal ${sequence} of "${coordinationId}" is not known`);
  }

  #inspectRequests(key: Uint8Array, value: Uint8Array): void {
    const row = new RequestRow(key, value);
    const tally = this.#tallyOf(key);
    if (tally === undefined) return;
    const { coordinationId, trimmedThroughSequence: trimmed, removedRanges, headSequence } = tally.stored.header;
    const next = nextSequence(tally.requestsThrough, removedRanges);
    // The first row may begin with what was trimmed.
    const isInPlace = row.firstSequence === next || (row.firstSequence < next && tally.requestsThrough === trimmed);
    if (!isInPlace || row.lastSequence > headSequence || row.lastSequence <= trimmed) {
      const found = `${row.firstSequence} to ${row.lastSequence}`;
      this.#damage(`"${coordinationId}" has a row of the requests of signals ${found} where ${next} should follow`);
    }
    tally.requestsThrough = row.lastSequence;
    this.#compareWithLog(tally, row);
  }

  /** Checks that a row of requests has the hashes that the log has; one difference is as telling as many. */
  #compareWithLog({ stored: { header, ordinal } }: Tally, row: RequestRow): void {
    const { coordinationId, trimmedThroughSequence: trimmed } = header;
    const first = row.firstSequence > trimmed ? row.firstSequence : trimmed + 1n;
    for (const { key, value } of this.#rows.getRange({ start: logKey(ordinal, first), end: headerKey(ordinal) })) {
      const chunk = LogChunk.look(key, value);
      if (chunk.firstSequence > row.lastSequence) return;
      for (let index = 0; index < chunk.count; index++) {
        const sequence = chunk.firstSequence + BigInt(index);
        if (sequence < first || sequence > row.lastSequence) continue;
        if (chunk.hashAt(index) === row.hashAt(Number(sequence - row.firstSequence))) continue;
        this.#damage(`the request that made signal ${sequence} of "${coordinationId}" is known as another one`);
        return;
      }
    }
  }

  #checkJoins({ stored: { header }, lastSequence }: Tally, next: bigint): void {
    this.#findings.join(header.coordinationId, header.removedRanges, [lastSequence, next]);
  }

  #checkTally(tally: Tally): void {
    const { header, counts } = tally.stored;
    this.#checkJoins(tally, header.headSequence + 1n);
    for (const kind of journalKinds) {
      const name = `journal records (${kind})`;
      this.#findings.count(header.coordinationId, name, recordCount(tally.counts, kind), recordCount(counts, kind));
    }
  }

  /** The coordination that a row belongs to; undefined for one that was removed and waits to be swept. */
  #tallyOf(key: Uint8Array): Tally | undefined {
    const ordinal = ordinalFromKey(key);
    const tally = this.#tallies.get(ordinal);
    if (tally === undefined && !this.#garbage.has(ordinal)) {
      this.#damage(`row ${Buffer.from(key).toString("hex")} belongs to no coordination`);
    }
    return tally;
  }

  #rowsOf(inSpace: number) {
    const start = Buffer.of(inSpace);
    return this.#rows.getRange({ start, end: prefixEnd(start) });
  }

  #damage(sentence: string): void {
    this.#findings.damage(sentence);
  }
}

function coordinationOf({ stored: { header }, signalCount, recordCount }: Tally): InspectedCoordination {
  return {
    coordinationId: header.coordinationId,
    epoch: header.epoch,
    headSequence: header.headSequence,
    oldestSequence: header.oldestSequence,
    signalCount,
    journalRecordCount: recordCount,
  };
}
