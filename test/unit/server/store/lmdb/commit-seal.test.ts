import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { CommitSeal, sealFileName } from "../../../../../server/src/store/lmdb/commit-seal.js";
import type { MetaPage } from "../../../../../server/src/store/lmdb/data-file.js";
import { temporaryDirectory } from "../../../../support/temporary-directory.js";

const page = (transaction: bigint, checksum = 7): MetaPage => ({ transaction, checksum });

describe("CommitSeal", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;

  beforeEach(async () => {
    directory = await temporaryDirectory();
  });
  afterEach(async () => {
    await directory[Symbol.asyncDispose]();
  });

  /** Opens the note where the data file is at `latest`, notes commits, and closes it. */
  const noteCommits = (latest: MetaPage, ...commits: readonly MetaPage[]): void => {
    const seal = CommitSeal.open(directory.path, latest);
    for (const commit of commits) seal.write(commit);
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
    expect(() => noteCommits(page(2n))).toThrow("the store's last commit is 2, it should be 3 or later");
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

  test("takes its space when it is made, and none later", () => {
    noteCommits(page(1n));
    const { length } = readFileSync(join(directory.path, sealFileName));
    noteCommits(page(1n), page(2n), page(3n));
    expect(readFileSync(join(directory.path, sealFileName))).toHaveLength(length);
  });
});
