/*
 * Several servers on one PostgreSQL, and everything between a sender and the disk breaks in turn: servers are killed, paused,
 * cut off from the database or left without an answer of it; commits lose their request or their answer, backends are ended in
 * the middle of one, the database itself crashes. Writers and readers go from server to server, and what everybody was told
 * is compared at the end with what the log holds.
 */
import { setTimeout } from "node:timers/promises";
import { openTestPostgres } from "../support/test-postgres.js";
import { FaultTraffic } from "./clients/fault-traffic.js";
import { type FaultRun, runFaultProgram } from "./harness/fault-program.js";
import { builtServer, plantedServer } from "./harness/killable-server.js";
import { skipProgram } from "./harness/skipped.js";
import { serverBugs } from "./planted/server-bugs.js";
import { type DatabaseFaultName, databaseFaults, type FaultStage, reasonAgainst } from "./postgres/database-faults.js";
import { ReplicaSet } from "./postgres/replica-set.js";

const name = "postgres-faults";
const servers = 3;
const coordinations = 3;
const writersEach = 3;
/** How long plain clients are patient with a server that does not answer. */
const patienceMs = 3_000;
/** How many signals more a fault waits for at the most, and how long. */
const maxMore = 1_000;
const someMoreTimeoutMs = 3_000;
const lookIntervalMs = 10;

type PostgresRun = FaultRun<"cycles" | "signals">;

await runFaultProgram({
  name,
  about:
    "Breaks PostgreSQL, and the servers that share it, in every way and in turn, while clients go from server to server.",
  settings: {
    cycles: { about: "faults", short: 28, deep: 2_000 },
    signals: { about: "signals acknowledged meanwhile", short: 20_000, deep: 2_000_000 },
  },
  plantedBugs: serverBugs,
  run: async (run) => {
    await using postgres = await openTestPostgres();
    if (postgres === undefined) skipProgram(name, "there is no PostgreSQL");
    await breakDatabase(run, { databaseUrl: await postgres.createDatabase(), cluster: postgres.cluster });
  },
});

type Database = Pick<FaultStage, "databaseUrl" | "cluster">;

async function breakDatabase(run: PostgresRun, { databaseUrl, cluster }: Database): Promise<void> {
  const { random, report, plantedBug } = run;
  const { cycles, signals } = run.sizes;
  const entry = plantedBug === undefined ? builtServer : plantedServer(plantedBug);
  const flags = ["--max-history-signals", "1000000000", "--shutdown-grace", "1s"];
  await using replicas = await ReplicaSet.start(databaseUrl, { count: servers, entry, flags });
  let acknowledged = 0;
  const onAcknowledged = (count: number): void => {
    acknowledged += count;
  };
  const traffic = new FaultTraffic({
    servers: replicas,
    report,
    random,
    coordinations,
    writersEach,
    onAcknowledged,
    patienceMs,
  });
  const choices = random.fork("faults");
  const failing = new AbortController();
  const someMore = async (): Promise<void> => {
    await waitForMore(() => acknowledged, choices.integer(1, maxMore));
    failing.signal.throwIfAborted();
  };
  const stage = { replicas, databaseUrl, cluster, random: choices, someMore };
  const isDone = () => failing.signal.aborted || (acknowledged >= signals && report.cycles >= cycles);
  const fail = (error: unknown) => {
    failing.abort(error);
    throw error;
  };
  // Neither goes on for ever without the other.
  await Promise.all([traffic.write(isDone).catch(fail), breakInTurn(run, stage, cycles).catch(fail)]);
  await traffic.finish();
  report.figure(`${acknowledged.toLocaleString("en")} signals acknowledged`);
}

/** Brings about every fault as often as the others, in an order of chance. */
async function breakInTurn({ report, random }: PostgresRun, stage: FaultStage, cycles: number): Promise<void> {
  const counts = new Map<DatabaseFaultName, number>();
  for (const fault of Object.keys(databaseFaults) as DatabaseFaultName[]) {
    const reason = reasonAgainst(fault, stage.cluster);
    if (reason === undefined) counts.set(fault, 0);
    else report.skip(reason);
  }
  const deal = random.fork("order");
  while (report.cycles < cycles) {
    for (const fault of deal.shuffled([...counts.keys()])) {
      await stage.someMore();
      counts.set(fault, (counts.get(fault) ?? 0) + (await databaseFaults[fault](stage)));
      report.cycles += 1;
    }
  }
  for (const [fault, count] of counts) report.figure(`${count} ${fault}`);
}

async function waitForMore(acknowledged: () => number, count: number): Promise<void> {
  const target = acknowledged() + count;
  const deadlineMs = performance.now() + someMoreTimeoutMs;
  while (acknowledged() < target && performance.now() < deadlineMs) await setTimeout(lookIntervalMs);
}
