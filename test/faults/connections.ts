/*
 * Puts a proxy between the clients and the server, and lets every connection through it go bad in its own way and at its own
 * byte: it is cut cleanly or not, in the middle of a frame, one side or both are never told, bytes come late or one by one.
 * Writers and readers go on from where they were each time, and what everybody was told is compared at the end of each round
 * with what the log holds.
 */
import { join } from "node:path";
import { FaultTraffic } from "./clients/fault-traffic.js";
import { drawFate, endings } from "./connections/fate.js";
import { FaultProxy } from "./connections/fault-proxy.js";
import { type FaultRun, runFaultProgram } from "./harness/fault-program.js";
import { builtServer, KillableServer, plantedServer } from "./harness/killable-server.js";
import { withTemporaryDirectory } from "./harness/temporary-directory.js";
import { serverBugs } from "./planted/server-bugs.js";

/** Three subscriptions each. */
const coordinations = 32;
/** A round has a server and coordinations of its own, so that the logs stay short however long the program runs. */
const resumesPerRound = 1_000;
/** Between what one writer sends: enough for every subscription to have something to miss, and no more. */
const writePauseMs = 300;
/** How long clients are patient with a connection that says nothing. */
const patienceMs = 1_000;
const sdkPatience = { checkpointIntervalMs: 200, keepalive: { intervalMs: 300, timeoutMs: 300 } };
/** Nothing is resumed for so long when something is wrong. */
const resumeTimeoutMs = 60_000;

await runFaultProgram({
  name: "connections",
  about: "Lets every connection to the server go bad, each in its own way, and subscriptions resume.",
  settings: { resumes: { about: "subscriptions that are resumed", short: 2_000, deep: 200_000 } },
  plantedBugs: serverBugs,
  run: breakConnections,
});

async function breakConnections(run: FaultRun<"resumes">): Promise<void> {
  const { report, random, sizes } = run;
  const counts = new Map(endings.map((ending) => [ending, 0]));
  let resumes = 0;
  for (let round = 0; resumes < sizes.resumes && report.total === 0; round++) {
    const target = Math.min(resumesPerRound, sizes.resumes - resumes);
    const outcome = await withTemporaryDirectory((directory) =>
      playRound(
        { ...run, random: random.fork(`round ${round}`) },
        { store: `lmdb:${join(directory, "store")}`, target },
      ),
    );
    resumes += outcome.resumes;
    for (const [ending, count] of outcome.fulfilled) {
      counts.set(ending, (counts.get(ending) ?? 0) + count);
      report.cycles += count;
    }
  }
  report.figure(`${resumes.toLocaleString("en")} subscriptions resumed`);
  report.figure([...counts].map(([ending, count]) => `${count.toLocaleString("en")} ${ending}`).join(", "));
}

interface Round {
  readonly store: string;
  /** How many subscriptions are to be resumed. */
  readonly target: number;
}

async function playRound({ report, random, plantedBug }: FaultRun<"resumes">, { store, target }: Round) {
  const entry = plantedBug === undefined ? builtServer : plantedServer(plantedBug);
  const flags = ["--store", store, "--max-history-signals", "1000000000", "--shutdown-grace", "1s"];
  await using server = await KillableServer.start(entry, flags);
  const fates = random.fork("fates");
  await using proxy = await FaultProxy.start(server.url, () => drawFate(fates));
  let resumes = 0;
  let deadlineMs = performance.now() + resumeTimeoutMs;
  const traffic = new FaultTraffic({
    servers: { urls: [proxy.url], whenUp: () => server.whenUp() },
    report,
    random,
    coordinations,
    writersEach: 1,
    writePauseMs,
    patienceMs,
    sdkPatience,
    onAcknowledged: () => undefined,
    onResumed: () => {
      resumes += 1;
      deadlineMs = performance.now() + resumeTimeoutMs;
    },
  });
  const isLate = () => performance.now() > deadlineMs;
  await traffic.write(() => resumes >= target || isLate());
  if (isLate()) report.violation("otherwise wrong", `no subscription was resumed in ${resumeTimeoutMs} ms`);
  const outcome = { resumes, fulfilled: new Map(proxy.fulfilled) };
  proxy.heal();
  await traffic.finish();
  return outcome;
}
