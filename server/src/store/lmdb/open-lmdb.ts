import { open, type RootDatabase } from "lmdb";
import { checkDataFile } from "./data-file.js";

/** An environment whose keys and values are bytes. */
export type LmdbDatabase = RootDatabase<Uint8Array, Uint8Array>;

/** The data file's name in a store's directory. */
export const dataFileName = "signals.mdb";

/** The map is address space, not disk or memory: it only has to be larger than any store will grow. */
export const mapBytes = 1024 ** 4;

/**
 * Opens a data file; every part of the server opens it the same way. Throws an Error when the file is not a store, which LMDB
 * itself would not survive.
 */
export function openLmdb(path: string, { readOnly = false }: { readonly readOnly?: boolean } = {}): LmdbDatabase {
  checkDataFile(path);
  return open({
    path,
    keyEncoding: "binary",
    encoding: "binary",
    // With the driver's default a value can be read before it is on disk.
    overlappingSync: false,
    mapSize: mapBytes,
    maxDbs: 1,
    cache: false,
    readOnly,
  });
}
