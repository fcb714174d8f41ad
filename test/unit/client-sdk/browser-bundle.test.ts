import { builtinModules } from "node:module";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { build, type Metafile } from "esbuild";

const nodeModules = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]));

/** Every module that an entry of the package brings with it, by name or path. */
async function importsOf(entry: string): Promise<readonly string[]> {
  const { metafile } = await build({
    entryPoints: [fileURLToPath(new URL(`../../../client-sdk/src/${entry}`, import.meta.url))],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "neutral",
    conditions: ["browser", "import"],
    mainFields: ["module", "main"],
    external: [...nodeModules],
  });
  return modulesOf(metafile);
}

function modulesOf({ inputs }: Metafile): readonly string[] {
  return Object.entries(inputs).flatMap(([path, { imports }]) => [path, ...imports.map((imported) => imported.path)]);
}

describe("the browser entry", () => {
  test("imports no module of Node.js, directly or through its packages", async () => {
    const imports = await importsOf("browser.ts");
    expect(imports.filter((path) => nodeModules.has(path))).toEqual([]);
    expect(imports.filter((path) => path.includes("connect-node"))).toEqual([]);
    expect(imports.some((path) => path.includes("connect-web"))).toBe(true);
  });

  test("is told apart from the entry for Node.js", async () => {
    const imports = await importsOf("index.ts");
    expect(imports).toContain("node:http2");
  });
});
