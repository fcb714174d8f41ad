import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { createLmdb } from "../../../../../server/src/store/lmdb/create-lmdb.js";
import { LmdbWriter } from "../../../../../server/src/store/lmdb/lmdb-writer.js";
import { dataFileName, type LmdbDatabase, openLmdb } from "../../../../../server/src/store/lmdb/open-lmdb.js";
import { temporaryDirectory } from "../../../../support/temporary-directory.js";

const key = Buffer.from("a");
const set = (text: string) => [{ key, value: Buffer.from(text) }];
/** What the native writer reports for an input/output error. */
const inputOutputError = 5;

interface Native {
  startWriting(address: number, onStatus: (status: number) => unknown): unknown;
}

describe("LmdbWriter", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let path: string;
  let db: LmdbDatabase;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    await createLmdb(directory.path);
    path = join(directory.path, dataFileName);
    db = openLmdb(path);
  });
  afterEach(async () => {
    await directory[Symbol.asyncDispose]();
  });

  test("sets and removes rows, and what is written is there when it is opened again", async () => {
    const writer = new LmdbWriter(db, path);
    await writer.commit([...set("1"), { key: Buffer.from("b"), value: Buffer.from("2") }]);
    await writer.commit([{ key: Buffer.from("b"), value: undefined }]);
    await writer.close();
    const again = openLmdb(path);
    expect(Buffer.from(again.getBinary(key) ?? [])).toEqual(Buffer.from("1"));
    expect(again.doesExist(Buffer.from("b"))).toBe(false);
    await again.close();
  });

  test("refuses a data file that is an older copy than its note", async () => {
    const copy = join(directory.path, "copy");
    copyFileSync(path, copy);
    const writer = new LmdbWriter(db, path);
    await writer.commit(set("1"));
    await writer.close();
    copyFileSync(copy, path);
    const older = openLmdb(path);
    const before = readFileSync(path);
    expect(() => new LmdbWriter(older, path)).toThrow(/the file is damaged or an older copy/);
    await older.close();
    expect(readFileSync(path)).toEqual(before);
  });

  test("says why a commit failed, and writes nothing after it", async () => {
    const native = (db as unknown as { env: Native }).env;
    Object.defineProperty(native, "startWriting", {
      configurable: true,
      writable: true,
      value: (_address: number, onStatus: (status: number) => unknown) => void onStatus(inputOutputError),
    });
    const writer = new LmdbWriter(db, path);
    await expect(writer.commit(set("1"))).rejects.toThrow(`cannot write to ${path}: i/o error (5)`);
    await expect(writer.commit(set("2"))).rejects.toThrow(`an earlier commit to ${path} failed`);
    await writer.close();
  });

  test("does not take a commit for durable that its file does not show", async () => {
    const other = join(directory.path, "other");
    copyFileSync(path, other);
    const writer = new LmdbWriter(db, other);
    await expect(writer.commit(set("1"))).rejects.toThrow(/the commit after \d+ is not in .*other/);
    await expect(writer.commit(set("2"))).rejects.toThrow("an earlier commit");
    await writer.close();
  });
});
