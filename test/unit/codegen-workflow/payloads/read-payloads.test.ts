import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { readPayloads } from "../../../../client-sdk/examples/codegen-workflow/src/payloads/read-payloads.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "read-payloads-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function put(file: string, content: string): Promise<string> {
  const filePath = path.join(folder, file);
  await mkdir(path.dirname(filePath), { recursive: true });
  await writeFile(filePath, content);
  return filePath;
}

describe("readPayloads", () => {
  test("reads a folder in the order of names, and takes hints from files and folders", async () => {
    await put("star/created.json", '{"action":"created"}');
    await put("issues.opened.1.json", "[1]");
    await put("notes.txt", "not a payload");
    const { payloads, rejected } = await readPayloads(folder);
    expect(rejected).toEqual([]);
    expect(payloads).toEqual([
      {
        source: "issues.opened.1.json",
        eventTypeHints: ["issues.opened.1", "issues.opened", "issues"],
        value: [1],
      },
      { source: "star/created.json", eventTypeHints: ["created", "star"], value: { action: "created" } },
    ]);
  });

  test("reads an index of examples, and names each by its place", async () => {
    const file = await put("index.json", JSON.stringify([{ name: "star", examples: [{ id: 1 }, { id: 2 }] }]));
    expect((await readPayloads(file)).payloads).toEqual([
      { source: "index.json#/0/examples/0", eventTypeHints: ["star"], value: { id: 1 } },
      { source: "index.json#/0/examples/1", eventTypeHints: ["star"], value: { id: 2 } },
    ]);
  });

  test("rejects by name a file that is no JSON, and goes on", async () => {
    await put("a.json", "{");
    await put("b.json", "null");
    const found = await readPayloads(folder);
    expect(found.rejected).toEqual([{ source: "a.json", reason: "is not JSON" }]);
    expect(found.payloads.map(({ value }) => value)).toEqual([null]);
  });

  test("refuses a place that is not there, and a folder without payloads", async () => {
    await expect(readPayloads(path.join(folder, "none"))).rejects.toThrow(/^cannot read payloads .*none: ENOENT/);
    await expect(readPayloads(folder)).rejects.toThrow("has no .json file");
  });

  test("refuses more payloads than the limit", async () => {
    const examples = Array.from({ length: 10_001 }, () => 0);
    const file = await put("index.json", JSON.stringify([{ name: "star", examples }]));
    await expect(readPayloads(file)).rejects.toThrow("are more than 10000");
  });

  test("finds the 329 payloads of the GitHub webhooks", async () => {
    const file = createRequire(import.meta.url).resolve("@octokit/webhooks-examples/api.github.com/index.json");
    expect((await readPayloads(file)).payloads).toHaveLength(329);
  });
});
