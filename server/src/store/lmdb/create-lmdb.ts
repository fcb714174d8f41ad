import { randomBytes } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { getSystemErrorName } from "node:util";
import { seedBytes } from "../request-hash.js";
import { countKey, ordinalKey, schemaKey, seedKey } from "./commit-rows.js";
import { sealFileName } from "./commit-seal.js";
import { emptyDataFile } from "./data-file.js";
import { schemaVersion, seal, sealOrdinal } from "./lmdb-records.js";
import { LmdbWriter } from "./lmdb-writer.js";
import { makeDirectory } from "./make-directory.js";
import { dataFileName, mapBytes, openLmdb } from "./open-lmdb.js";
import { syncDirectory } from "./sync-directory.js";
import { walFileName } from "./wal-contents.js";

const unfinishedName = `${dataFileName}.new`;

// LMDB maps its files: one that has no room on the disk crashes it.
const leastFreeBytes = 1_048_576;

/**
 * Makes sure that a directory is there and can be written to. Answers its real path. Throws an Error that says what stands in
 * the way; then nothing was touched.
 */
export function prepareDirectory(directory: string): string {
  try {
    makeDirectory(resolve(directory));
    const { bavail, bsize } = statfsSync(directory);
    if (bavail * bsize < leastFreeBytes) throw new Error(`the disk is full, ${bavail * bsize} bytes are left`);
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    return realpathSync(directory);
  } catch (error) {
    throw unusable(directory, error);
  }
}

/** The error of a directory that cannot be used, with the system's reason in words. */
export function unusable(directory: string, error: unknown): Error {
  const { code = "", message } = error as { readonly code?: string | number; readonly message: string };
  const name = typeof code === "number" ? getSystemErrorName(-code) : code;
  const reason = reasons[name === "ENOENT" ? codeOfParent(directory) : name] ?? message;
  return new Error(`cannot use store directory ${directory}: ${reason}`, { cause: error });
}

/**
 * Makes the store of a directory that has none. It gets its name when it is whole and on disk: one that was cut off while it
 * was made leaves nothing that could be taken for a store.
 */
export async function createLmdb(directory: string): Promise<void> {
  const path = join(directory, dataFileName);
  if (existsSync(path)) return;
  const unfinished = join(directory, unfinishedName);
  // What a store that was here before has left says nothing of this one.
  for (const left of [`${unfinished}-lock`, join(directory, sealFileName), join(directory, walFileName)]) {
    rmSync(left, { force: true });
  }
  writeFileSync(unfinished, emptyDataFile(mapBytes));
  const writer = new LmdbWriter(openLmdb(unfinished), unfinished);
  try {
    await writer.commit([
      { key: schemaKey, value: sealOrdinal(schemaKey, schemaVersion) },
      { key: ordinalKey, value: sealOrdinal(ordinalKey, 1) },
      { key: countKey, value: sealOrdinal(countKey, 0) },
      { key: seedKey, value: seal(seedKey, randomBytes(seedBytes)) },
    ]);
  } finally {
    await writer.close();
  }
  rmSync(`${unfinished}-lock`, { force: true });
  renameSync(unfinished, path);
  syncDirectory(directory);
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: "this user may not read and write there",
  EPERM: "this user may not read and write there",
  EROFS: "its file system is read-only",
  EEXIST: "it is a file, not a directory",
  ENOTDIR: "a part of its path is a file, not a directory",
  ENOSPC: "the disk is full",
  ENAMETOOLONG: "its name is too long",
};

/** Why nothing can be made in the nearest directory that exists: making one inside says only that it is not there. */
function codeOfParent(directory: string): string {
  let parent = resolve(directory);
  while (!existsSync(parent) && dirname(parent) !== parent) parent = dirname(parent);
  try {
    accessSync(parent, constants.W_OK);
    return "ENOENT";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "ENOENT";
  }
}
