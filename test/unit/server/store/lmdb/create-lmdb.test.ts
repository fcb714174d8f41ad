import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { sealFileName } from "../../../../../server/src/store/lmdb/commit-seal.js";
import { createLmdb, prepareDirectory, unusable } from "../../../../../server/src/store/lmdb/create-lmdb.js";
import { openLmdbStore } from "../../../../../server/src/store/lmdb/lmdb-signal-store.js";
import { dataFileName } from "../../../../../server/src/store/lmdb/open-lmdb.js";
import { temporaryDirectory } from "../../../../support/temporary-directory.js";

describe("the making of a store", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;

  beforeEach(async () => {
    directory = await temporaryDirectory();
  });
  afterEach(async () => {
    await directory[Symbol.asyncDispose]();
  });

  test("makes a directory with all those above it", () => {
    const deep = join(directory.path, "a", "b", "c");
    expect(prepareDirectory(deep)).toBe(deep);
    expect(statSync(deep).isDirectory()).toBe(true);
  });

  test.each([
    ["a file", ["file"], "it is a file, not a directory"],
    ["below a file", ["file", "store"], "a part of its path is a file, not a directory"],
    ["a name that is too long", ["x".repeat(300)], "its name is too long"],
  ])("says what is wrong with a directory that is %s", (_, parts, why) => {
    writeFileSync(join(directory.path, "file"), "kept");
    const path = join(directory.path, ...parts);
    expect(() => prepareDirectory(path)).toThrow(`cannot use store directory ${path}: ${why}`);
    expect(readdirSync(directory.path)).toEqual(["file"]);
    expect(readFileSync(join(directory.path, "file"), "utf8")).toBe("kept");
  });

  test("knows a refusal of the system by its name and by its number", () => {
    expect(unusable("d", Object.assign(new Error("x"), { code: "EROFS" })).message).toMatch(
      /its file system is read-only$/,
    );
    expect(unusable("d", Object.assign(new Error("x"), { code: 28 })).message).toMatch(/the disk is full$/);
    expect(unusable("d", new Error("something else")).message).toMatch(/something else$/);
  });

  test("leaves a store that is there as it is", async () => {
    await createLmdb(directory.path);
    const path = join(directory.path, dataFileName);
    const before = readFileSync(path);
    await createLmdb(directory.path);
    expect(readFileSync(path)).toEqual(before);
  });

  test("begins anew where the making of one was cut off", async () => {
    writeFileSync(join(directory.path, `${dataFileName}.new`), "half a store");
    writeFileSync(join(directory.path, sealFileName), Buffer.alloc(1_024, 1));
    const store = await openLmdbStore({ directory: directory.path });
    expect(store.count()).toBe(0);
    await store.close();
    expect(readdirSync(directory.path).filter((name) => name.includes(".new"))).toEqual([]);
  });
});
