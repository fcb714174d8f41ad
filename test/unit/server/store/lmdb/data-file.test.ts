import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { checkDataFile, DataFile, emptyDataFile } from "../../../../../server/src/store/lmdb/data-file.js";
import { mapBytes, openLmdb } from "../../../../../server/src/store/lmdb/open-lmdb.js";
import { temporaryDirectory } from "../../../../support/temporary-directory.js";

const pageBytes = 4_096;
const flagsAt = 18;
const magicAt = 24;
const versionAt = 28;
const pageSizeAt = 48;
const transactionAt = 152;

describe("a data file", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let path: string;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    path = join(directory.path, "signals.mdb");
  });
  afterEach(async () => {
    await directory[Symbol.asyncDispose]();
  });

  /** Writes a file in which nothing is, with these changes of it. */
  const write = (change: (bytes: Buffer) => void): void => {
    const bytes = emptyDataFile(mapBytes);
    change(bytes);
    writeFileSync(path, bytes);
  };
  const latest = () => {
    const file = new DataFile(path);
    try {
      return file.readLatestMeta();
    } finally {
      file.close();
    }
  };

  test("in which nothing is can be written to by LMDB, and names each commit", async () => {
    write(() => {});
    expect(latest().transaction).toBe(0n);
    const db = openLmdb(path);
    await db.put(Buffer.from("a"), Buffer.from("1"));
    const first = latest();
    await db.put(Buffer.from("a"), Buffer.from("2"));
    const second = latest();
    await db.close();
    expect(second.transaction).toBe(first.transaction + 1n);
    expect(second.checksum).not.toBe(first.checksum);
  });

  test("that is not there is none to check", () => {
    expect(() => checkDataFile(path)).not.toThrow();
  });

  test.each([
    ["is empty", (bytes: Buffer) => bytes.subarray(0, 0), "it is too short"],
    ["ends in its first page", (bytes: Buffer) => bytes.subarray(0, 100), "it is too short"],
    ["ends before its second page", (bytes: Buffer) => bytes.subarray(0, pageBytes), "it is too short"],
    ["is text", () => Buffer.alloc(2 * pageBytes, "text "), "its page size is none"],
    ["is nothing but zeros", (bytes: Buffer) => bytes.fill(0), "its page size is none"],
  ])("that %s is refused", (_, content, why) => {
    writeFileSync(path, content(emptyDataFile(mapBytes)));
    expect(() => checkDataFile(path)).toThrow(`${path} is not a store, or is damaged: ${why}`);
  });

  test("that is a directory is refused", async () => {
    await mkdir(path);
    expect(() => checkDataFile(path)).toThrow("it is no file");
  });

  test.each([
    ["page size", (bytes: Buffer) => bytes.writeUInt32LE(3_000, pageSizeAt), "its page size is none"],
    ["page size out of range", (bytes: Buffer) => bytes.writeUInt32LE(256, pageSizeAt), "its page size is none"],
    ["magic number", (bytes: Buffer) => bytes.writeUInt32LE(1, magicAt), "it does not begin as one"],
    ["kind of page", (bytes: Buffer) => bytes.writeUInt16LE(0, flagsAt), "it does not begin as one"],
    ["format", (bytes: Buffer) => bytes.writeUInt16LE(9, versionAt), "its format is 9, known is 2"],
    [
      "second page's magic number",
      (bytes: Buffer) => bytes.writeUInt32LE(1, pageBytes + magicAt),
      "it does not begin as one",
    ],
  ])("with another %s is refused", (_, change, why) => {
    write(change);
    expect(() => checkDataFile(path)).toThrow(why);
  });

  test.each([
    ["follow each other", 6n, 7n, 7n],
    ["follow each other, the other way about", 8n, 7n, 8n],
  ])("whose pages %s is at the later one", (_, even, odd, expected) => {
    write((bytes) => {
      bytes.writeBigUInt64LE(even, transactionAt);
      bytes.writeBigUInt64LE(odd, pageBytes + transactionAt);
    });
    expect(latest().transaction).toBe(expected);
  });

  test.each([
    ["leave one out", 6n, 9n],
    ["are in each other's place", 7n, 6n],
    ["are the same", 6n, 6n],
    ["lost the odd one", 8n, 0n],
  ])("whose pages %s is damaged", (_, even, odd) => {
    write((bytes) => {
      bytes.writeBigUInt64LE(even, transactionAt);
      bytes.writeBigUInt64LE(odd, pageBytes + transactionAt);
    });
    expect(latest).toThrow(`its last commits are ${even} and ${odd}, which do not follow each other`);
  });

  test("that was cut off while it was open is found too short", () => {
    write(() => {});
    const file = new DataFile(path);
    truncateSync(path, pageBytes);
    expect(() => file.readLatestMeta()).toThrow("it is too short");
    file.close();
    expect(readFileSync(path)).toHaveLength(pageBytes);
  });
});
