import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { encodeSignal, sendRequest } from "../load/bench-signal.js";
import { coordinationSystem, nameOnly } from "../systems/coordination/coordination-system.js";
import { PlainSignals } from "../systems/coordination/plain-signals.js";
import { postgresProgram, startPostgresCluster } from "../systems/coordination/postgres-cluster.js";
import { loadCommitStatement, loadConnectionSettings, loadPostgresSchema } from "./server-build.js";

/*
 * What PostgreSQL can do with the store's own statement, asked by its own tool, from C, without this server: one connection
 * that appends to one coordination, as its single writer does when 64 senders wait. The statement is the store's text; the
 * values that the server would send are made by the database.
 */

const signalsPerStatement = 64;
const coordinationId = "bench";

const run = promisify(execFile);

/** Answers how many signals a second pgbench appends, each transaction on disk before the next. */
export async function measurePgbench(durationSeconds: number): Promise<number> {
  await using cluster = await startPostgresCluster();
  await createCoordination(cluster.url);
  const script = join(cluster.directory, "append.sql");
  await writeFile(script, await appendScript());
  const before = await headSequence(cluster.url);
  const start = performance.now();
  const flags = ["--no-vacuum", "--protocol=prepared", "--client=1", `--time=${durationSeconds}`, `--file=${script}`];
  const { stdout } = await run(postgresProgram("pgbench") ?? "pgbench", [...flags, cluster.url], {
    env: { ...process.env, PGOPTIONS: await sessionOptions() },
  });
  const seconds = (performance.now() - start) / 1_000;
  const appended = (await headSequence(cluster.url)) - before;
  const transactions = Number(stdout.match(/transactions actually processed: (\d+)/)?.[1]);
  if (appended !== transactions * signalsPerStatement || appended === 0) {
    throw new Error(`pgbench appended ${appended} signals in ${transactions} transactions:\n${stdout}`);
  }
  return Number(stdout.match(/^tps = ([\d.]+)/m)?.[1] ?? transactions / seconds) * signalsPerStatement;
}

/** Has the server make its layout and a coordination in it. */
async function createCoordination(storeUrl: string): Promise<void> {
  const system = coordinationSystem({
    label: "",
    acknowledges: "",
    unavailable: () => undefined,
    openStore: async () => nameOnly(storeUrl),
  });
  await using server = await system.startServer();
  using plain = new PlainSignals(server.url);
  await plain.send([sendRequest(coordinationId, "sender-0", 1)]);
}

/** What the store's connections begin with, so that the statement is planned alike. */
async function sessionOptions(): Promise<string> {
  const { sessionParameters } = await loadConnectionSettings();
  return Object.entries(sessionParameters)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(" ");
}

/** The store's statement with each of its parameters replaced by an expression that makes such a value. */
async function appendScript(): Promise<string> {
  const { commitStatement } = await loadCommitStatement();
  const { schemaName } = await loadPostgresSchema();
  const column = (name: string) =>
    `(SELECT ARRAY[${name}] FROM ${schemaName}.coordinations WHERE id = '${coordinationId}')`;
  const perSignal = (expression: string) =>
    `(SELECT array_agg(${expression} ORDER BY n) FROM ${schemaName}.coordinations, generate_series(1, ${signalsPerStatement}) n WHERE id = '${coordinationId}')`;
  const bytes = Buffer.from(encodeSignal("sender-0", 1)).toString("hex");
  const random = "decode(md5(random()::text), 'hex')";
  const part = [
    "ARRAY[0]",
    `ARRAY['${coordinationId}']`,
    column("epoch"),
    column("commits"),
    column("epoch"),
    column("commits + 1"),
    column(`head_sequence + ${signalsPerStatement}`),
    column("trimmed_through"),
    column("header"),
    column("checksum"),
    "ARRAY[NULL]",
    "ARRAY[NULL]",
    "ARRAY[NULL]",
    `ARRAY[${signalsPerStatement}]`,
    "ARRAY[0]",
    "ARRAY[1]",
  ];
  const entries = [
    `array_fill(0, ARRAY[${signalsPerStatement}])`,
    perSignal("head_sequence + n"),
    perSignal(random),
    `array_fill('\\x${bytes}'::bytea, ARRAY[${signalsPerStatement}])`,
    `array_fill(1, ARRAY[${signalsPerStatement}])`,
  ];
  const noRecords = Array.from({ length: 5 }, () => "'{}'");
  const values = [...part, ...entries, ...noRecords];
  return `${commitStatement.text.replaceAll(/\$(\d+)/g, (_, place) => values[Number(place) - 1] ?? "NULL").replaceAll("\n", " ")};\n`;
}

async function headSequence(url: string): Promise<number> {
  const { schemaName } = await loadPostgresSchema();
  const query = `SELECT head_sequence FROM ${schemaName}.coordinations WHERE id = '${coordinationId}'`;
  const { stdout } = await run(postgresProgram("psql") ?? "psql", [
    "--no-psqlrc",
    "--tuples-only",
    "--command",
    query,
    url,
  ]);
  return Number(stdout.trim());
}
