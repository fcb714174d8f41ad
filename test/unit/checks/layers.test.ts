import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { spawnProcess } from "../../support/spawned-process.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const CRUISER = join(ROOT, "node_modules", "dependency-cruiser", "bin", "dependency-cruise.mjs");

/** A small tree that breaks every rule, and keeps to them once. */
const FILES: Readonly<Record<string, readonly string[]>> = {
  "server/src/model/clock.ts": [],
  "server/src/model/upwards.ts": ["../store/signal-store.js"],
  "server/src/model/types-upwards.ts": ["type ../state/session.js"],
  "server/src/model/cycle-a.ts": ["./cycle-b.js"],
  "server/src/model/cycle-b.ts": ["./cycle-a.js"],
  "server/src/model/unresolved.ts": ["./missing.js"],
  "server/src/store/signal-store.ts": ["../model/clock.js"],
  "server/src/store/memory/memory-store.ts": ["../signal-store.js"],
  "server/src/store/lmdb/lmdb-store.ts": ["lmdb", "../signal-store.js", "../memory/memory-store.js"],
  "server/src/state/session.ts": ["../store/signal-store.js", "lmdb"],
  "server/src/state/wire-library.ts": ["@connectrpc/connect"],
  "server/src/delivery/tailer.ts": ["../registry/agents.js", "prom-client"],
  "server/src/registry/agents.ts": ["../state/session.js"],
  "server/src/signal-coordinator.ts": ["./delivery/tailer.js"],
  "server/src/rpc/service.ts": ["../signal-coordinator.js", "@connectrpc/connect", "node:http2"],
  "server/src/rpc/config-reader.ts": ["../config.js"],
  "server/src/rpc/log-writer.ts": ["pino"],
  "server/src/rpc/log-user.ts": ["type pino"],
  "server/src/config.ts": ["commander"],
  "server/src/wire/port.ts": ["node:http2", "zod"],
  "server/src/stray/thing.ts": [],
  "server/src/server.ts": ["./stray/thing.js", "../../client-sdk/src/index.js"],
  "client-sdk/src/index.ts": ["../../server/src/model/clock.js"],
  "client-sdk/src/browser.ts": ["./transport.js"],
  "client-sdk/src/transport.ts": ["node:fs"],
  "client-sdk/examples/demo/src/main.ts": ["../../../src/index.js"],
};
const PACKAGES = ["@connectrpc/connect", "commander", "lmdb", "pino", "prom-client", "zod"];

let tree = "";

beforeAll(async () => {
  tree = await mkdtemp(join(tmpdir(), "layers-"));
  await cp(join(ROOT, ".dependency-cruiser.cjs"), join(tree, ".dependency-cruiser.cjs"));
  await cp(join(ROOT, "tsconfig.base.json"), join(tree, "tsconfig.base.json"));
  for (const name of PACKAGES) {
    await write(`node_modules/${name}/package.json`, JSON.stringify({ name, main: "dist/index.js" }));
    await write(`node_modules/${name}/dist/index.js`, "");
  }
  for (const [path, imports] of Object.entries(FILES)) {
    const lines = imports.map((name, index) =>
      name.startsWith("type ")
        ? `import type * as t${index} from "${name.slice(5)}";\nexport type { t${index} };`
        : `import * as m${index} from "${name}";\nexport { m${index} };`,
    );
    await write(path, `${lines.join("\n")}\nexport const own = 1;\n`);
  }
});

afterAll(async () => {
  await rm(tree, { recursive: true, force: true });
});

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(tree, path)), { recursive: true });
  await writeFile(join(tree, path), text);
}

/** The violations as `rule: from -> to`. */
async function violations(): Promise<string[]> {
  await using cruiser = await spawnProcess({
    args: [CRUISER, "--config", ".dependency-cruiser.cjs", "--output-type", "json", "server/src", "client-sdk"],
    cwd: tree,
  });
  await cruiser.exited;
  const report: { summary: { violations: { rule: { name: string }; from: string; to: string }[] } } = JSON.parse(
    cruiser.stdout(),
  );
  return report.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`);
}

describe("the layer rules", () => {
  test("report every import that breaks them and no other", async () => {
    const found = await violations();
    expect(found.sort()).toEqual([
      "browser-without-node: client-sdk/src/browser.ts -> fs",
      "client-without-server: client-sdk/src/index.ts -> server/src/model/clock.ts",
      "connect-only-in-its-place: server/src/state/wire-library.ts -> node_modules/@connectrpc/connect/dist/index.js",
      "example-through-the-front-door: client-sdk/examples/demo/src/main.ts -> client-sdk/src/index.ts",
      "lmdb-only-in-its-place: server/src/state/session.ts -> node_modules/lmdb/dist/index.js",
      "logger-only-in-its-place: server/src/rpc/log-writer.ts -> node_modules/pino/dist/index.js",
      "no-cycles: server/src/model/cycle-a.ts -> server/src/model/cycle-b.ts",
      "process-libraries-only-in-its-place: server/src/wire/port.ts -> node_modules/zod/dist/index.js",
      "prom-client-only-in-its-place: server/src/delivery/tailer.ts -> node_modules/prom-client/dist/index.js",
      "resolvable: server/src/model/unresolved.ts -> ./missing.js",
      "server-folder-without-row: server/src/server.ts -> server/src/stray/thing.ts",
      "server-row-0-imports-upwards: server/src/model/types-upwards.ts -> server/src/state/session.ts",
      "server-row-0-imports-upwards: server/src/model/upwards.ts -> server/src/store/signal-store.ts",
      "server-row-6-imports-upwards: server/src/rpc/config-reader.ts -> server/src/config.ts",
      "server-without-client: server/src/server.ts -> client-sdk/src/index.ts",
      "stores-apart: server/src/store/lmdb/lmdb-store.ts -> server/src/store/memory/memory-store.ts",
      "web-servers-only-in-its-place: server/src/rpc/service.ts -> http2",
    ]);
  });
});
