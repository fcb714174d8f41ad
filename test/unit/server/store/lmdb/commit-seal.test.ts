import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import {
  CommitSeal,
  readSeal,
  type SealedCommit,
  sealFileName,
} from "../../../../../server/src/store/lmdb/commit-seal.js";
import { temporaryDirectory } from "../../../../support/temporary-directory.js";

const page = (number: bigint, checksum = 7): SealedCommit & { checksum: number } => ({ number, checksum });

describe("CommitSeal", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;

  beforeEach(async () => {
    directory = await temporaryDirectory();
  });
  afterEach(async () => {
    await directory[Symbol.asyncDispose]();
  });

  /** Opens the note where the data file is at `latest`, notes commits, and closes it. */
  const noteCommits = (latest: SealedCommit, ...commits: readonly ReturnType<typeof page>[]): void => {
    const seal = CommitSeal.open(directory.path, "tree", latest);
    for (const { number, checksum } of commits) seal.write(number, checksum);
    seal.close();
  };
  const damageByte = (at: number): void => {
    const path = join(directory.path, sealFileName);
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    writeFileSync(path, bytes);
  };

  test("says nothing of a store that it was never written beside", () => {
    expect(() => noteCommits(page(41n))).not.toThrow();
  });

  test("agrees with a data file that is at the noted commit", () => {
    noteCommits(page(1n), page(2n), page(3n));
    expect(() => noteCommits(page(3n))).not.toThrow();
  });

  test("says nothing of a data file that is ahead, as after a power cut that lost the note", () => {
    noteCommits(page(1n), page(2n));
    expect(() => noteCommits(page(9n, 1))).not.toThrow();
  });

  test("finds a data file that is behind: an older copy, or one whose last commit is damaged", () => {
    noteCommits(page(1n), page(2n), page(3n));
    expect(() => noteCommits(page(2n))).toThrow("the last commit of the store's file is 2, it should be 3 or later");
  });

  test("finds a last commit that reads otherwise", () => {
    noteCommits(page(1n), page(2n));
    expect(() => noteCommits(page(2n, 8))).toThrow("the store's file is damaged: commit 2 reads otherwise");
  });

  test("believes the older of two notes when the newer one is torn", () => {
    noteCommits(page(1n), page(2n), page(3n));
    damageByte(512); // that of commit 3, which is odd
    expect(() => noteCommits(page(2n))).not.toThrow();
    expect(() => noteCommits(page(1n))).toThrow("it should be 2 or later");
  });

  test("keeps the notes of the tree and of the log apart", () => {
    noteCommits(page(1n), page(2n), page(3n));
    const seal = CommitSeal.open(directory.path, "log", page(0n));
    for (const number of [1n, 2n]) seal.write(number, 5);
    seal.close();
    expect(() => noteCommits(page(3n))).not.toThrow();
    expect(readSeal(directory.path, "log")).toEqual([page(2n, 5), page(1n, 5)]);
    expect(() => CommitSeal.open(directory.path, "log", page(1n))).toThrow(
      "the last commit of the store's write-ahead log is 1, it should be 2 or later",
    );
  });

  test("compares nothing where what was written last is not to be read any more", () => {
    noteCommits(page(1n), page(2n));
    expect(() => noteCommits({ number: 2n, checksum: undefined })).not.toThrow();
  });

  test("takes its space when it is made, and none later", () => {
    noteCommits(page(1n));
    const { length } = readFileSync(join(directory.path, sealFileName));
    noteCommits(page(1n), page(2n), page(3n));
    expect(readFileSync(join(directory.path, sealFileName))).toHaveLength(length);
  });
});
