import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { checkModels } from "../../../../client-sdk/examples/codegen-workflow/src/validation/check-models.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "check-models-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("checkModels", () => {
  test("finds nothing wrong with models that stand for themselves, even when they name the same types", async () => {
    await writeFile(path.join(folder, "a.ts"), "export interface User { tags?: readonly string[]; at: Date }\n");
    await writeFile(path.join(folder, "b.ts"), "export interface User { id: number }\n");
    expect(checkModels(folder, ["a.ts", "b.ts"])).toEqual([]);
  });

  test("names what does not type-check, with its line", async () => {
    await writeFile(path.join(folder, "a.ts"), "export interface A {\n  b: Missing;\n}\n");
    await writeFile(path.join(folder, "b.ts"), "export interface {\n");
    const problems = checkModels(folder, ["a.ts", "b.ts", "none.ts"]);
    expect(problems.map(({ file }) => file)).toEqual(["a.ts", "b.ts", "none.ts"]);
    expect(problems[0]?.diagnostics).toEqual(["line 2: TS2304 Cannot find name 'Missing'."]);
    expect(problems[2]?.diagnostics).toEqual(["cannot be read"]);
  });
});
