/** The programs of a README, compiled and run as a reader would. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { atServer, readmeBlocks } from "./readme-blocks.js";
import { runCommand } from "./run-command.js";
import { type SpawnedServer, spawnServer } from "./spawned-server.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const compiler = join(root, "node_modules", "typescript", "bin", "tsc");

/** Describes the TypeScript of a README, by default the project's; `printed` is what each program prints, in their order. */
export function describePrograms(title: string, printed: readonly string[], markdown?: string): void {
  const programs = readmeBlocks(markdown).filter(({ language }) => language === "ts");

  describe(title, () => {
    let server: SpawnedServer;
    let directory: string;

    beforeAll(async () => {
      server = await spawnServer();
      const cache = join(root, "test", ".cache"); // in the workspace, so that the programs find its packages
      await mkdir(cache, { recursive: true });
      directory = await mkdtemp(join(cache, "readme-"));
      for (const [index, { text }] of programs.entries()) {
        await writeFile(join(directory, `program-${index}.ts`), atServer(text, server.port));
      }
      const compilerOptions = { composite: false, incremental: false, declaration: false, declarationMap: false };
      const tsconfig = { extends: join(root, "tsconfig.base.json"), compilerOptions, include: ["*.ts"] };
      await writeFile(join(directory, "tsconfig.json"), JSON.stringify(tsconfig));
    });

    afterAll(async () => {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    });

    test("compiles under the strict settings of the project", async () => {
      const { code, stdout } = await runCommand({ args: [compiler, "-p", directory] });
      expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    });

    test("has an expectation for each program", () => {
      expect(programs).toHaveLength(printed.length);
    });

    test.each([...printed.entries()])("prints what it promises: program %i", async (index, expected) => {
      const { code, stdout, stderr } = await runCommand({ args: [join(directory, `program-${index}.js`)] });
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: expected, stderr: "" });
    });
  });
}
