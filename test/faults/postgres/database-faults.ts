import { setTimeout } from "node:timers/promises";
import { Client } from "pg";
import type { LostPart } from "../../support/database-proxy.js";
import { eventually } from "../../support/eventually.js";
import type { PostgresCluster } from "../../support/postgres-cluster.js";
import type { Random } from "../harness/random.js";
import type { Replica, ReplicaSet } from "./replica-set.js";

/** What a fault is brought about on. */
export interface FaultStage {
  readonly replicas: ReplicaSet;
  /** The database itself, without a proxy. */
  readonly databaseUrl: string;
  /** The server of the database, where it is ours to stop. */
  readonly cluster: PostgresCluster | undefined;
  readonly random: Random;
  /** Resolves when some more signals were acknowledged, or none can be for a while. */
  readonly someMore: () => Promise<void>;
}

/** Brings a fault about, and ends it; answers how often it has met something. */
export type DatabaseFault = (stage: FaultStage) => Promise<number>;

/** How the store names the statement of a commit, as it goes over the connection. */
const commitText = "\0commit\0";
const lostCommits = 3;
const terminations = 3;
const maxLooks = 400;
const lookIntervalMs = 5;

/** The faults by name. */
export const databaseFaults = {
  "servers killed": killServer,
  "servers paused": pauseServer,
  "servers cut off from the database": cutOffServer,
  "servers with a database that is silent": silenceDatabase,
  "commits whose request or answer is lost": loseCommits,
  "backends ended in the middle of a commit": terminateBackends,
  "crashes of the database": crashDatabase,
} as const satisfies Readonly<Record<string, DatabaseFault>>;

export type DatabaseFaultName = keyof typeof databaseFaults;

/** Why a fault cannot be brought about here; undefined when it can. */
export function reasonAgainst(name: DatabaseFaultName, cluster: PostgresCluster | undefined): string | undefined {
  return name === "crashes of the database" && cluster === undefined
    ? "crashes of the database: its server was given, and is not ours to stop"
    : undefined;
}

async function killServer(stage: FaultStage): Promise<number> {
  const { server } = pickReplica(stage);
  server.kill();
  await server.whenUp();
  return 1;
}

async function pauseServer(stage: FaultStage): Promise<number> {
  const { server } = pickReplica(stage);
  server.pause();
  await stage.someMore();
  server.resume();
  return 1;
}

async function cutOffServer(stage: FaultStage): Promise<number> {
  const { proxy } = pickReplica(stage);
  proxy.cut();
  await stage.someMore();
  proxy.heal();
  return 1;
}

/** Half of the times only until the others have gone on, else until the server has noticed. */
async function silenceDatabase(stage: FaultStage): Promise<number> {
  const { server, proxy } = pickReplica(stage);
  proxy.silence();
  await stage.someMore();
  if (stage.random.chance(0.5)) await eventually(() => expectNotReady(server.url));
  proxy.heal();
  return 1;
}

async function loseCommits({ replicas, random, someMore }: FaultStage): Promise<number> {
  let lost = 0;
  const nextPart = (): LostPart | undefined => {
    if (lost >= lostCommits || random.chance(0.5)) return undefined;
    lost += 1;
    return random.pick(["request", "answer"]);
  };
  for (const { proxy } of replicas.replicas) proxy.lose(commitText, nextPart);
  for (let look = 0; look < maxLooks && lost < lostCommits; look++) await setTimeout(lookIntervalMs);
  for (const { proxy } of replicas.replicas) proxy.heal();
  await someMore();
  return lost;
}

/** Commits are made to take longer, where the database is ours, so that many backends are in the middle of one. */
async function terminateBackends({ databaseUrl, cluster, someMore }: FaultStage): Promise<number> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    if (cluster !== undefined) await configure(client, ["commit_delay = 10000", "commit_siblings = 0"]);
    let ended = 0;
    for (let look = 0; look < maxLooks && ended < terminations; look++) {
      ended += (await client.query(terminateOne)).rowCount ?? 0;
      await setTimeout(lookIntervalMs);
    }
    if (cluster !== undefined) await configure(client, ["commit_delay = DEFAULT", "commit_siblings = DEFAULT"]);
    await someMore();
    return ended;
  } finally {
    await client.end();
  }
}

async function crashDatabase({ cluster, someMore }: FaultStage): Promise<number> {
  await cluster?.stop("immediate");
  await cluster?.start();
  await someMore();
  return 1;
}

/** One that is writing: in the statement, in what follows it, or waiting for its place on the disk. */
const terminateOne = `
  SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()
    AND (query LIKE '%WITH parts%' OR query = 'COMMIT')
  ORDER BY random() LIMIT 1`;

async function configure(client: Client, settings: readonly string[]): Promise<void> {
  for (const setting of settings) await client.query(`ALTER SYSTEM SET ${setting}`);
  await client.query("SELECT pg_reload_conf()");
}

function pickReplica({ replicas, random }: FaultStage): Replica {
  const replica = replicas.replicas[random.integer(0, replicas.replicas.length - 1)];
  if (replica === undefined) throw new Error("there are no replicas");
  return replica;
}

async function expectNotReady(url: string): Promise<void> {
  const { status } = await fetch(`${url}/readyz`);
  if (status !== 503) throw new Error(`the server answers ${status}`);
}
