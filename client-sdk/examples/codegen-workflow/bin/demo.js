// `npm run demo`: builds what the demo needs, which takes no time when nothing has changed, then runs it in this process,
// so that signals reach it.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../..", import.meta.url));
const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
const build = [join(typescript, "bin", "tsc"), "--build", "server", "client-sdk/examples/codegen-workflow"];
const { status } = spawnSync(process.execPath, build, { cwd: root, stdio: ["ignore", process.stderr, process.stderr] });

if (status === 0) {
  await import(new URL("../dist/codegen-workflow.js", import.meta.url).href);
} else {
  console.error("npm run demo: the build failed, see above");
  process.exitCode = 1;
}
