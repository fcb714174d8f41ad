/** The programs that `install-toolchain.mjs` found or installed for the interop tests. */
import { readFileSync } from "node:fs";
import { describe } from "@jest/globals";

const TOOLS = ["buf", "curl", "grpcurl", "python"] as const;

type ToolName = (typeof TOOLS)[number];

/** Where a program is; without a path, why it is missing. */
interface Tool {
  readonly path?: string;
  readonly reason?: string;
  /** Python alone: the folder with the generated stubs. */
  readonly stubs?: string;
}

const toolchain: Readonly<Record<ToolName, Tool>> = JSON.parse(
  readFileSync(new URL(".cache/toolchain.json", import.meta.url), "utf8"),
);

/** Describes what needs a program. Where it is missing its tests are skipped, counted and named with the reason. */
export function describeWith(name: ToolName, body: (path: string, stubs: string) => void): void {
  const { path, reason, stubs } = toolchain[name];
  if (path === undefined) {
    describe.skip(`${name} (skipped: ${reason})`, () => body("", ""));
  } else {
    describe(name, () => body(path, stubs ?? ""));
  }
}
