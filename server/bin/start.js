// `npm start`: builds the server when its sources are newer than the build, then runs it in this process, so that signals
// reach it. Its data is kept in .coordination at the root of the project unless a flag or variable says otherwise.
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const sources = ["server/src", "server/tsconfig.json", "tsconfig.base.json", "proto/gen"];
const built = "server/dist/.tsbuildinfo";

if (isBuilt() || build()) {
  process.env.COORDINATION_STORE ||= `lmdb:${join(root, ".coordination")}`;
  if (process.stderr.isTTY) process.env.COORDINATION_LOG_FORMAT ||= "text";
  endWithParent();
  const { main } = await import(new URL("../dist/main.js", import.meta.url).href);
  await main({ onListening: printNextSteps });
} else {
  console.error("npm start: the build failed, see above");
  process.exitCode = 1;
}

function isBuilt() {
  const builtMs = changedMs(built);
  return builtMs > 0 && sources.every((source) => changedMs(source) <= builtMs);
}

/** When a file, or the last of a folder's, was changed; 0 when it does not exist. */
function changedMs(path) {
  const stats = statSync(join(root, path), { throwIfNoEntry: false });
  if (stats === undefined) return 0;
  if (!stats.isDirectory()) return stats.mtimeMs;
  const names = readdirSync(join(root, path));
  return Math.max(stats.mtimeMs, ...names.map((name) => changedMs(join(path, name))));
}

function build() {
  console.error("building the server ...");
  const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
  const { status } = spawnSync(process.execPath, [join(typescript, "bin", "tsc"), "--build", "server"], {
    cwd: root,
    stdio: ["ignore", process.stderr, process.stderr],
  });
  return status === 0;
}

/** npm runs this in a shell and ends that, not us, when it is told to end: losing the shell then counts as SIGTERM. */
function endWithParent() {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, "SIGTERM");
  }, 200);
  watch.unref();
}

/** On the standard error: the standard output has the one line that programs wait for. */
function printNextSteps(url) {
  const { host } = new URL(url);
  console.error(`
Try next, in another terminal:
  npm run demo -- --server ${url}
  curl -H 'content-type: application/json' ${url}/coordination.v1.SignalService/SendSignal \\
    -d '{"coordinationId":"demo","senderAgentId":"me","agentInitialized":{"ready":true}}'
  curl -H 'content-type: application/json' ${url}/coordination.v1.SignalService/GetSignalHistory \\
    -d '{"coordinationId":"demo"}'
  grpcurl -plaintext ${host} list
Ctrl+C ends the server; what was sent is kept.
`);
}
