import { mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { LogEntry } from "../../model/log-entry.js";
import { type CoordinationHeaderJson, headerFromJson } from "../header-json.js";
import { type HashSeed, seedFromBytes } from "../request-hash.js";
import { countKey, ordinalKey, schemaKey, seedKey } from "./commit-rows.js";
import { sealFileName } from "./commit-seal.js";
import { createLmdb } from "./create-lmdb.js";
import { sealHeader } from "./header-row.js";
import {
  coordinationKey,
  headerKey,
  logKey,
  noCounts,
  ordinalPrefix,
  prefixEnd,
  readableVersions,
  schemaVersion,
  sealOrdinal,
  sequenceFromLogKey,
  space,
  unseal,
} from "./lmdb-records.js";
import { LmdbWriter, type RowChange } from "./lmdb-writer.js";
import { chunksOf, sealChunk } from "./log-chunk.js";
import { dataFileName, type LmdbDatabase, openLmdb } from "./open-lmdb.js";
import { syncDirectory } from "./sync-directory.js";

/*
 * From older layouts to this one. Those that are read as this one get its number, so that a server that does not know what is new
 * leaves them alone; what they lack follows once it is used. Layout 2 had a row for each entry, with sixteen bytes each for its request and its content before
 * the signal, a row for each request (04), and the header as JSON, with its ordinal, under the coordination's id.
 *
 * Its rows go into a store in a directory below, whose file takes the place of the old one when it is whole and on disk: one
 * that was cut off while it was made is made again.
 */

const oldVersion = 2;
const rowsPerCommit = 1_000;
const hasRequest = 1;
const identityBytes = 32;
const upgradeDirectory = "upgrade";

/** Whether a store can only be read once it was brought up to date. */
export function isOutdated(db: LmdbDatabase): boolean {
  return versionOf(db) === oldVersion;
}

/** The layout of a store; undefined where it cannot be told. */
function versionOf(db: LmdbDatabase): number | undefined {
  const value = db.getBinary(schemaKey);
  const known = [oldVersion, ...readableVersions];
  return known.find((version) => value !== undefined && Buffer.from(value).equals(sealOrdinal(schemaKey, version)));
}

/** Brings a data file up to date that nobody else uses, if it is outdated. Throws STORE_CORRUPT. */
export async function upgradeLmdb(path: string): Promise<void> {
  const directory = join(dirname(path), upgradeDirectory);
  rmSync(directory, { recursive: true, force: true });
  const old = openLmdb(path);
  const version = versionOf(old);
  if (version === undefined || version === schemaVersion) return old.close();
  if (version !== oldVersion) return renumber(old, path);
  // Looks whether the file is as its last commit left it.
  const holder = new LmdbWriter(old, path);
  try {
    mkdirSync(directory);
    await createLmdb(directory);
    await copyInto(join(directory, dataFileName), old);
  } finally {
    await holder.close();
  }
  // The note of the old file says nothing of the new one.
  rmSync(join(dirname(path), sealFileName));
  renameSync(join(directory, dataFileName), path);
  syncDirectory(dirname(path));
  rmSync(directory, { recursive: true });
}

/** Says of a store that it has this layout, and closes it. */
async function renumber(db: LmdbDatabase, path: string): Promise<void> {
  const writer = new LmdbWriter(db, path);
  try {
    await writer.commit([{ key: schemaKey, value: sealOrdinal(schemaKey, schemaVersion) }]);
  } finally {
    await writer.close();
  }
}

async function copyInto(path: string, old: LmdbDatabase): Promise<void> {
  const db = openLmdb(path);
  const writer = new LmdbWriter(db, path);
  try {
    const seed = seedFromBytes(unseal(seedKey, db.getBinary(seedKey) ?? Buffer.of()));
    await new Upgrade(old, writer, seed).run();
  } finally {
    await writer.close();
  }
}

class Upgrade {
  readonly #old: LmdbDatabase;
  readonly #writer: LmdbWriter;
  readonly #seed: HashSeed;

  constructor(old: LmdbDatabase, writer: LmdbWriter, seed: HashSeed) {
    this.#old = old;
    this.#writer = writer;
    this.#seed = seed;
  }

  async run(): Promise<void> {
    for (const rows of this.#pages(Buffer.of(space.coordination))) {
      for (const { key, value } of rows) await this.#coordination(key, value);
    }
    const numbers = [ordinalKey, countKey].map((key) => {
      return { key, value: sealOrdinal(key, unseal(key, this.#old.getBinary(key) ?? Buffer.of()).readUInt32BE()) };
    });
    await this.#writer.commit(numbers);
  }

  async #coordination(oldKey: Uint8Array, value: Uint8Array): Promise<void> {
    const { header: json, ordinal, counts } = JSON.parse(unseal(oldKey, value).toString()) as OldHeader;
    const header = headerFromJson(json);
    // The first count was that of requests.
    const stored = {
      header,
      ordinal,
      counts: noCounts.map((none, kind) => (kind === 0 ? none : (counts[kind] ?? none))),
    };
    for (const rows of this.#pages(ordinalPrefix(space.journal, ordinal))) {
      for (const row of rows) unseal(row.key, row.value);
      await this.#writer.commit(rows);
    }
    for (const rows of this.#pages(ordinalPrefix(space.log, ordinal))) await this.#log(ordinal, rows);
    const name = coordinationKey(header.coordinationId);
    const key = headerKey(ordinal);
    await this.#writer.commit([
      { key: name, value: sealOrdinal(name, ordinal) },
      { key, value: sealHeader(key, stored) },
    ]);
  }

  async #log(ordinal: number, rows: readonly Row[]): Promise<void> {
    const changes: RowChange[] = [];
    for (const chunk of chunksOf(this.#seed, rows.map(oldEntry))) {
      const key = logKey(ordinal, chunk.lastSequence);
      changes.push({ key, value: sealChunk(key, chunk) });
    }
    await this.#writer.commit(changes);
  }

  /** The rows whose keys begin alike, some at a time. */
  *#pages(prefix: Buffer): Iterable<readonly Row[]> {
    const end = prefixEnd(prefix);
    for (let start = prefix; ; ) {
      const rows = Array.from(this.#old.getRange({ start, end, limit: rowsPerCommit }), copyOf);
      const last = rows.at(-1);
      if (last === undefined) return;
      yield rows;
      start = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }
}

interface OldHeader {
  readonly header: CoordinationHeaderJson;
  readonly ordinal: number;
  readonly counts: readonly number[];
}

interface Row {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** The driver may reuse its buffers. */
function copyOf({ key, value }: { readonly key: Uint8Array; readonly value: Uint8Array }): Row {
  return { key: Buffer.from(key), value: Buffer.from(value) };
}

function oldEntry({ key, value }: Row): LogEntry {
  const bytes = unseal(key, value);
  const start = bytes[0] === hasRequest ? 1 + identityBytes : 1;
  return new LogEntry({ sequence: sequenceFromLogKey(key), bytes: bytes.subarray(start) });
}
