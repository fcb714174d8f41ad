import { copyFileSync, existsSync, readdirSync, realpathSync, renameSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { uuidv7 } from "uuidv7";
import { InspectionFindings } from "../inspection-findings.js";
import type { InspectionReport, StoreMaintenance } from "../store-maintenance.js";
import { lockDirectory } from "./directory-lock.js";
import { sealHeader, unsealHeader } from "./header-row.js";
import { LmdbInspection } from "./inspect-lmdb.js";
import { headerKey, space, unseal } from "./lmdb-records.js";
import type { RowChange } from "./lmdb-writer.js";
import { makeDirectory } from "./make-directory.js";
import { dataFileName, type LmdbDatabase, openLmdb } from "./open-lmdb.js";
import { OverlaidRows } from "./overlaid-rows.js";
import { isOutdated, upgradeLmdb } from "./upgrade-lmdb.js";
import { appliedIn, readWal, treeRows, type WalStretch } from "./wal-contents.js";

// Headers that one commit renews.
const headersPerCommit = 1_000;

const guarantees = [
  ["durable", "every acknowledged change is on disk: fsync before the acknowledgement, nothing is shown before"],
  ["damage", "every row has a checksum; a damaged or missing one stops the server"],
  ["retention", "as --max-history-signals and --retention-age of the server say; each coordination's oldest is above"],
  ["replicas", "one process at a time; postgres:// serves several"],
] as const;

/** Maintains the LMDB store in a directory. */
export function lmdbMaintenance(directory: string): StoreMaintenance {
  return {
    async inspect(onProgress) {
      const db = openExisting(directory);
      try {
        if (isOutdated(db)) throw new Error(`${directory} has an older layout: start the server on it once`);
        const findings = new InspectionFindings(onProgress);
        let waiting: readonly RowChange[] = [];
        findings.look(() => {
          waiting = rowsInLog(db, directory);
        });
        const report = new LmdbInspection(new OverlaidRows(db, waiting), findings).run(`lmdb:${directory}`);
        return { ...report, guarantees } satisfies InspectionReport;
      } finally {
        await db.close();
      }
    },
    async backup(target) {
      checkEmpty(target);
      const db = openExisting(directory);
      try {
        makeDirectory(resolve(target));
        // Read first: what is in the log now and not in the copy follows what is.
        const waiting = readWal(db, directory);
        const copy = join(target, dataFileName);
        await db.backup(copy, false);
        await putInto(copy, waiting);
      } finally {
        await db.close();
      }
    },
    async renewEpochs() {
      const path = existingFile(directory);
      const lock = await lockDirectory(realpathSync(directory));
      try {
        await putInto(path, await readWalOf(path));
        return await renewEpochs(path);
      } finally {
        await lock.release();
      }
    },
    async restore(backupDirectory) {
      const backup = existingFile(backupDirectory);
      checkEmpty(directory);
      makeDirectory(resolve(directory));
      const lock = await lockDirectory(realpathSync(directory));
      try {
        return await restoreFile(backup, directory);
      } finally {
        await lock.release();
      }
    },
  };
}

/** The rows that wait in the log to be put into a tree. Throws STORE_CORRUPT. */
function rowsInLog(db: LmdbDatabase, directory: string): readonly RowChange[] {
  return readWal(db, directory).flatMap((stretch) => [...treeRows(stretch)]);
}

/** Puts commits of a log into a tree that nobody else uses, as far as they are not in it. */
async function putInto(path: string, stretches: readonly WalStretch[]): Promise<void> {
  if (stretches.length === 0) return;
  const db = openLmdb(path);
  try {
    const applied = appliedIn(db);
    const missing = stretches.filter(({ last }) => last.number > applied);
    await db.batch(() => {
      for (const stretch of missing) {
        for (const { key, value } of treeRows(stretch)) {
          if (value === undefined) db.remove(key);
          else db.put(key, value);
        }
      }
    });
  } finally {
    await db.close();
  }
}

/** The file gets its name when it is whole: a restore that was cut off leaves no store behind. */
async function restoreFile(backup: string, directory: string): Promise<number> {
  const unfinished = join(directory, `${dataFileName}.restoring`);
  copyFileSync(backup, unfinished);
  await putInto(unfinished, await readWalOf(backup));
  const count = await renewEpochs(unfinished);
  renameSync(unfinished, join(directory, dataFileName));
  rmSync(`${unfinished}-lock`, { force: true });
  return count;
}

async function renewEpochs(path: string): Promise<number> {
  await upgradeLmdb(path);
  const db = openLmdb(path);
  try {
    let count = 0;
    let start: Uint8Array = Buffer.of(space.coordination);
    for (;;) {
      const rows = [...db.getRange({ start, end: Buffer.of(space.coordination + 1), limit: headersPerCommit })];
      const last = rows.at(-1);
      if (last === undefined) return count;
      await db.batch(() => {
        for (const { key, value } of rows) {
          renewEpoch(db, unseal(key, value).readUInt32BE());
        }
      });
      count += rows.length;
      start = Buffer.concat([last.key, Buffer.of(0)]);
    }
  } finally {
    await db.close();
  }
}

function renewEpoch(db: LmdbDatabase, ordinal: number): void {
  const key = headerKey(ordinal);
  const stored = unsealHeader(ordinal, key, db.getBinary(key) ?? Buffer.of());
  const header = { ...stored.header, epoch: uuidv7(), revision: stored.header.revision + 1n };
  db.put(key, sealHeader(key, { ...stored, header }));
}

/** What waits in the log beside a data file. */
async function readWalOf(path: string): Promise<readonly WalStretch[]> {
  const db = openLmdb(path, { readOnly: true });
  try {
    return readWal(db, dirname(path));
  } finally {
    await db.close();
  }
}

function openExisting(directory: string): LmdbDatabase {
  return openLmdb(existingFile(directory), { readOnly: true });
}

function existingFile(directory: string): string {
  const path = join(directory, dataFileName);
  if (!existsSync(path)) throw new Error(`${directory} holds no store: there is no ${dataFileName} in it`);
  return path;
}

function checkEmpty(directory: string): void {
  if (!existsSync(directory)) return;
  if (readdirSync(directory).length > 0)
    throw new Error(`${directory} is not empty: name a directory that does not exist yet`);
}
