import { existsSync } from "node:fs";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { makeFolder } from "../../../../client-sdk/examples/codegen-workflow/src/artifacts/make-folder.js";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "make-folder-"));
});
afterEach(() => rm(root, { recursive: true }));

const missingProc = existsSync("/proc/self") ? undefined : "there is no /proc";
if (missingProc !== undefined) console.log(`skipped: ${missingProc}`);
const testWithProc = missingProc === undefined ? test : test.skip;

describe("makeFolder", () => {
  test("makes a folder with those above it, once, whoever else makes it at the same time", async () => {
    const folder = path.join(root, "a", "b", "c");
    await Promise.all([makeFolder(folder), makeFolder(folder), makeFolder(path.join(root, "a", "d"))]);
    await makeFolder(folder);
    expect((await stat(folder)).isDirectory()).toBe(true);
  });

  test("refuses a place where a file is, or that is below one", async () => {
    const file = path.join(root, "file");
    await writeFile(file, "");
    await expect(makeFolder(file)).rejects.toMatchObject({ code: "EEXIST" });
    await expect(makeFolder(path.join(file, "out"))).rejects.toMatchObject({ code: "EEXIST" });
  });

  testWithProc("ends at once where nothing can be made", async () => {
    await expect(makeFolder("/proc/out")).rejects.toMatchObject({ code: "ENOENT" });
  });
});
