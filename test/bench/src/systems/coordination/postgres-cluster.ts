import { execFile, execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { chown, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { findProgram } from "../../servers/find-program.js";
import { findFreePort } from "../../servers/free-port.js";
import {
  createDataDirectory,
  isListening,
  type ServerProcess,
  startServerProcess,
} from "../../servers/server-process.js";

const run = promisify(execFile);

/** Where Debian has the programs of each of PostgreSQL's versions. */
const versionsDirectory = "/usr/lib/postgresql";
const neededPrograms = ["initdb", "postgres", "pgbench"];
const ownerName = "postgres";

/** Why PostgreSQL cannot be measured here; undefined when it can. */
export function postgresUnavailable(): string | undefined {
  const missing = neededPrograms.find((name) => postgresProgram(name) === undefined);
  if (missing !== undefined) return `PostgreSQL's ${missing} is not installed`;
  if (isRoot() && ownerOf(ownerName) === undefined)
    return `PostgreSQL does not run as root and there is no user ${ownerName}`;
  return undefined;
}

/** Finds one of PostgreSQL's programs, of the newest version that is installed. */
export function postgresProgram(name: string): string | undefined {
  return findProgram(name, versionDirectories());
}

/** Makes and starts an empty PostgreSQL server with its own defaults, which make every commit durable. */
export async function startPostgresCluster(): Promise<ServerProcess> {
  const [port, directory] = await Promise.all([findFreePort(), createDataDirectory()]);
  const owner = isRoot() ? ownerOf(ownerName) : undefined;
  const data = join(directory, "data");
  await mkdir(data);
  if (owner !== undefined) await Promise.all([directory, data].map((path) => chown(path, owner.uid, owner.gid)));
  const initialize = ["-D", data, "-U", ownerName, "--auth=trust", "--encoding=UTF8", "--locale=C"];
  await run(postgresProgram("initdb") ?? "initdb", initialize, { cwd: directory, ...owner });
  const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", `port=${port}`];
  return startServerProcess({
    command: postgresProgram("postgres") ?? "postgres",
    args: ["-D", data, ...settings.flatMap((setting) => ["-c", setting])],
    directory,
    removesDirectory: true,
    owner,
    stopSignal: "SIGINT",
    url: async () =>
      (await isListening(port)) ? `postgres://${ownerName}:unused@127.0.0.1:${port}/postgres` : undefined,
  });
}

function versionDirectories(): readonly string[] {
  try {
    const versions = readdirSync(versionsDirectory).sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => join(versionsDirectory, version, "bin"));
  } catch {
    return [];
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function ownerOf(name: string): { readonly uid: number; readonly gid: number } | undefined {
  try {
    const [uid, gid] = ["-u", "-g"].map((flag) => Number(execFileSync("id", [flag, name], { stdio: "pipe" })));
    return uid === undefined || gid === undefined ? undefined : { uid, gid };
  } catch {
    return undefined;
  }
}
