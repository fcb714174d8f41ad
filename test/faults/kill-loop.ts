/*
 * Kills the server with SIGKILL again and again while writers write and readers read, each on a connection of its own, and
 * compares at the end what everybody was told with what the log holds. The moment is chosen by counting acknowledgements, so
 * that it falls anywhere in the server's work. `--store postgres` does it on PostgreSQL instead of LMDB.
 */
import { join } from "node:path";
import { openTestPostgres } from "../support/test-postgres.js";
import { FaultTraffic } from "./clients/fault-traffic.js";
import { type FaultRun, runFaultProgram } from "./harness/fault-program.js";
import { builtServer, KillableServer, plantedServer } from "./harness/killable-server.js";
import { skipProgram } from "./harness/skipped.js";
import { withTemporaryDirectory } from "./harness/temporary-directory.js";
import { serverBugs } from "./planted/server-bugs.js";

const name = "kill-loop";
const coordinations = 3;
const writersEach = 3;

await runFaultProgram({
  name,
  about:
    "Kills the server while writers write and readers read, and compares what they were told with what the log holds.",
  settings: {
    cycles: { about: "kills", short: 40, deep: 1_000 },
    signals: { about: "signals acknowledged meanwhile", short: 100_000, deep: 5_000_000 },
  },
  stores: ["lmdb", "postgres"],
  plantedBugs: serverBugs,
  run: (run) => withStore(run.store, (store) => killLoop(run, store)),
});

/** Makes an empty store of a kind. */
async function withStore(kind: string | undefined, use: (url: string) => Promise<void>): Promise<void> {
  if (kind !== "postgres") return withTemporaryDirectory((directory) => use(`lmdb:${join(directory, "store")}`));
  await using postgres = await openTestPostgres();
  if (postgres === undefined) skipProgram(name, "there is no PostgreSQL");
  await use(await postgres.createDatabase());
}

async function killLoop(run: FaultRun<"cycles" | "signals">, store: string): Promise<void> {
  const { random, report } = run;
  const { cycles, signals } = run.sizes;
  const entry = run.plantedBug === undefined ? builtServer : plantedServer(run.plantedBug);
  const flags = ["--store", store, "--max-history-signals", "1000000000"];
  await using server = await KillableServer.start(entry, flags);
  const moments = random.fork("moments");
  let acknowledged = 0;
  const nextKill = (): number => acknowledged + moments.integer(1, Math.ceil((2 * signals) / cycles) - 1);
  let killAt = nextKill();
  const onAcknowledged = (count: number): void => {
    acknowledged += count;
    if (acknowledged < killAt || report.cycles >= cycles) return;
    report.cycles += 1;
    server.kill();
    killAt = nextKill();
  };
  const traffic = new FaultTraffic({ servers: server, report, random, coordinations, writersEach, onAcknowledged });
  await traffic.write(() => acknowledged >= signals && report.cycles >= cycles);
  await traffic.finish();
  report.figure(`${acknowledged.toLocaleString("en")} signals acknowledged`);
  report.figure(`longest start ${Math.round(Math.max(...server.startTimesMs))} ms`);
}
