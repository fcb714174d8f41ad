/*
 * Lets each of the first writes and syncs of the store fail, and the last ones, one in each run: with EIO, with ENOSPC and, for writes, by coming
 * to an end too early; and fills a small disk. The server must stop with 1 and one clear line, and what it leaves behind must
 * hold all that was acknowledged and nothing that was not sent.
 */
import { spawnSync } from "node:child_process";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ExitInfo, SpawnedProcess } from "../support/spawned-process.js";
import { grpc } from "../support/test-client.js";
import { spawnFaultProcess } from "./harness/fault-process.js";
import { type FaultRun, runFaultProgram } from "./harness/fault-program.js";
import type { FaultReport } from "./harness/fault-report.js";
import { builtServer } from "./harness/killable-server.js";
import { skipProgram } from "./harness/skipped.js";
import { missingStrace } from "./harness/strace.js";
import { withTemporaryDirectory } from "./harness/temporary-directory.js";
import type { CoordinationJournal } from "./journal/check-log.js";
import { checkStore } from "./journal/check-store.js";
import { plannedRequest } from "./journal/planned-signal.js";
import { WriterJournal } from "./journal/writer-journal.js";

const name = "disk-errors";
const coordinationId = "faults";
// The server is the child, and strace beside it, so that its end and its signals are its own: -D.
// As many as the machine has processors to spare.
const parallelRuns = 2;
const stopTimeoutMs = 20_000;
/** Writes and syncs before the server has stopped that fail, too. */
const lastCalls = 6;
const tracedCalls = "writev,pwrite64,fdatasync,fsync";

/** The files whose calls fail: the tree's with its directory, or the write-ahead log. */
type FailingFiles = "tree" | "log";

/** One call to fail: the n-th of its kind, from 1, that a thread makes on these files, and how. */
interface Injection {
  readonly files: FailingFiles;
  readonly call: string;
  readonly nth: number;
  readonly how: string;
}

const namesOf: Readonly<Record<FailingFiles, readonly string[]>> = {
  tree: ["", "signals.mdb", "signals.mdb.new"],
  log: ["signals.wal"],
};

await runFaultProgram({
  name,
  about: "Lets each of the first writes and syncs of an embedded store fail, and fills a small disk.",
  settings: { calls: { about: "writes and syncs to fail", short: 20, deep: 300 } },
  plantedBugs: [],
  run: failCalls,
});

async function failCalls(run: FaultRun<"calls">): Promise<void> {
  const reason = missingStrace();
  if (reason !== undefined) skipProgram(name, reason);
  const { calls } = run.sizes;
  await withTemporaryDirectory(async (directory) => {
    const injections = await chooseInjections(directory, calls);
    let next = 0;
    const work = async (): Promise<void> => {
      for (let index = next++; index < injections.length; index = next++) {
        const injection = injections[index];
        if (injection !== undefined) await runOne(run.report, join(directory, `run-${index}`), injection, calls);
      }
    };
    await Promise.all(Array.from({ length: parallelRuns }, work));
    run.report.figure(`${injections.length} calls to fail: writes and syncs, by EIO, ENOSPC and too short`);
    await fillDisk(run.report, join(directory, "small-disk"));
  });
}

/** Watches one run without a fault to learn which calls come first. */
async function chooseInjections(directory: string, calls: number): Promise<readonly Injection[]> {
  const place = join(directory, "dry");
  const trace = join(directory, "dry.trace");
  await runServer(place, ["-y", "-o", trace], calls, ["tree", "log"]);
  // As strace counts them: each thread's by themselves.
  const counts = new Map<string, number>();
  const seen: Omit<Injection, "how">[] = [];
  for (const line of (await readFile(trace, "utf8")).split("\n")) {
    const [, thread, call, path] = /^(\d+) +(writev|pwrite64|fdatasync|fsync)\(\d+<([^>]*)>/.exec(line) ?? [];
    if (call === undefined || path === undefined) continue;
    const files = path.endsWith(".wal") ? "log" : "tree";
    const name = `${thread} ${files} ${call}`;
    const nth = (counts.get(name) ?? 0) + 1;
    counts.set(name, nth);
    seen.push({ files, call, nth });
  }
  await rm(place, { recursive: true, force: true });
  // The last ones of the tree are those of what was only in the log until the server stops.
  const chosen = new Set([...seen.slice(0, calls), ...seen.filter(({ files }) => files === "tree").slice(-lastCalls)]);
  return [...chosen].flatMap((each) => {
    // What is left of a write to the log is written by another call: of one that says so and wrote nothing, none can know.
    const isCutOff = each.call.includes("write") && each.files === "tree";
    return ["error=EIO", "error=ENOSPC", ...(isCutOff ? ["retval=16"] : [])].map((how) => ({ ...each, how }));
  });
}

async function runOne(
  report: FaultReport,
  place: string,
  { files, call, nth, how }: Injection,
  calls: number,
): Promise<void> {
  const what = `${call} ${nth} of the ${files} with ${how}`;
  const trace = `${place}.trace`;
  const inject = ["-o", trace, "-e", `inject=${call}:${how}:when=${nth}`];
  const { journal, exit, stderr } = await runServer(place, inject, calls, [files]);
  report.cycles += 1;
  // Which commits take which way depends on how busy the server is: not each run comes to the same calls.
  const isMade = (await readFile(trace, "utf8")).includes("(INJECTED)");
  if (isMade) checkEnd(report, what, exit, stderr);
  else report.figure(`not come to: ${what}`);
  await checkStore(report, place, [journal]).catch((error: unknown) => {
    report.violation("lost", `${what}: the store does not open any more: ${error}`);
  });
  await rm(place, { recursive: true, force: true });
}

/** The store must have stopped its process, with one line that says why. */
function checkEnd(report: FaultReport, what: string, exit: string, stderr: string): void {
  const lines = stderr.split("\n").filter((line) => line.startsWith("coordination-server: "));
  if (exit !== "code 1") report.violation("otherwise wrong", `${what}: the server ended with ${exit}\n${stderr}`);
  if (lines.length !== 1 || /^\s+at /m.test(stderr)) {
    report.violation("otherwise wrong", `${what}: the server did not say in one line why it ended:\n${stderr}`);
  }
}

interface ServerRun {
  readonly journal: CoordinationJournal;
  readonly exit: string;
  readonly stderr: string;
}

/** Runs a server under strace and sends to it until it is gone, or so often that every call to fail was made. */
async function runServer(
  place: string,
  straceArgs: readonly string[],
  calls: number,
  files: readonly FailingFiles[],
): Promise<ServerRun> {
  await mkdir(place);
  const paths = files.flatMap((each) => namesOf[each]).flatMap((name) => ["-P", join(place, name)]);
  const server = await spawnFaultProcess({
    command: "strace",
    args: [
      ...["-D", "-f", "-qq", ...paths, "-e", `trace=${tracedCalls}`, ...straceArgs],
      ...[process.execPath, ...builtServer, "--port", "0", "--log-level", "silent", "--store", `lmdb:${place}`],
    ],
    // One thread, so that calls are counted in the order of the commits.
    env: { UV_THREADPOOL_SIZE: "1" },
  });
  const journal = { coordinationId, writers: [new WriterJournal(0)], readers: [] };
  const url = await server.waitForOutput(/^listening on (\S+)$/m).then(
    ([, found]) => found,
    () => undefined,
  );
  const isGone = url === undefined || (await sendUntilGone(url, journal.writers[0] ?? new WriterJournal(0), 2 * calls));
  const exit = await (isGone ? endOf(server) : server.stop());
  return { journal, exit: exitText(exit), stderr: server.stderr() };
}

/** How a server ends by itself; one that does not is killed. */
async function endOf(server: SpawnedProcess): Promise<ExitInfo> {
  const timer = setTimeout(() => server.kill("SIGKILL"), stopTimeoutMs);
  try {
    return await server.exited;
  } finally {
    clearTimeout(timer);
  }
}

function exitText({ code, signal }: ExitInfo): string {
  return signal === null ? `code ${code}` : `signal ${signal}`;
}

/** Answers whether the server is gone, or said that it does not know what became of a request. */
async function sendUntilGone(url: string, journal: WriterJournal, maxSends: number): Promise<boolean> {
  using client = grpc.connect(url);
  for (let sends = 0; sends < maxSends; sends++) {
    const ordinals = journal.plan(1 + (sends % 7), sends % 7 > 0);
    const requests = ordinals.map((ordinal) => plannedRequest(coordinationId, { writer: 0, ordinal }));
    try {
      const { results } = await client.signals.batchSendSignals({ requests, atomic: requests.length > 1 });
      for (const [index, { result }] of results.entries()) {
        if (result.case !== "response") return true;
        journal.acknowledge(ordinals[index] ?? -1, result.value.sequence);
      }
    } catch {
      // The server is gone, or said that it does not know: nothing was acknowledged.
      return true;
    }
  }
  return false;
}

/** Fills a disk of seven megabytes, of which the write-ahead log takes four when it is made. */
async function fillDisk(report: FaultReport, place: string): Promise<void> {
  await mkdir(place);
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=7m", "tmpfs", place]).status !== 0) {
    report.skip("a full disk: a small file system cannot be mounted here");
    return;
  }
  try {
    const store = join(place, "store");
    const server = await spawnFaultProcess({
      args: [...builtServer, "--port", "0", "--log-level", "silent", "--store", `lmdb:${store}`],
    });
    const [, url = ""] = await server.waitForOutput(/^listening on (\S+)$/m);
    const journal = { coordinationId, writers: [new WriterJournal(0)], readers: [] };
    await sendUntilGone(url, journal.writers[0] ?? new WriterJournal(0), 10_000);
    const exit = await endOf(server);
    report.cycles += 1;
    checkEnd(report, "a full disk", exitText(exit), server.stderr());
    if (!server.stderr().includes("the disk is full")) {
      report.violation("otherwise wrong", `a full disk is not called one: ${server.stderr()}`);
    }
    spawnSync("mount", ["-o", "remount,size=16m", place]);
    await checkStore(report, store, [journal]);
  } finally {
    spawnSync("umount", [place]);
  }
}
