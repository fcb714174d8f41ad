import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";

const folder = new URL("../../", import.meta.url);
const map = readFileSync(new URL("README.md", folder), "utf8");

/** The rows of the table under a heading, without its head. */
function rowsUnder(heading: string): readonly string[] {
  const [, section = ""] = map.split(`## ${heading}\n`);
  return (section.split("\n## ")[0] ?? "")
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .slice(1);
}

describe("the map of the tests", () => {
  test("links to files that exist", () => {
    const links = [...map.matchAll(/\]\(([^)]+)\)/g)].flatMap(([, link]) => link ?? []);
    expect(links.length).toBeGreaterThan(30);
    expect(links.filter((link) => !existsSync(new URL(link, folder)))).toEqual([]);
  });

  test.each([
    ["The guarantees", 11],
    ["The origin's test groups", 9],
  ])("names a test for each of: %s", (heading, count) => {
    const rows = rowsUnder(heading);
    expect(rows).toHaveLength(count);
    for (const row of rows) expect(row).toMatch(/\]\([a-z/-]+\.test\.ts\)/);
  });
});
