import { createHash } from "node:crypto";
import { closeSync, openSync, rmSync, statSync } from "node:fs";
import { createConnection, createServer, type Server } from "node:net";
import { join } from "node:path";

/*
 * One process per directory. The holder listens on a socket in it: the kernel takes that back when the process ends, however
 * it ends, so that nothing is ever left to be removed by hand, and a second process learns at once who holds it.
 */

/** Keeps other processes out of a directory until released. */
export interface DirectoryLock {
  release(): Promise<void>;
}

/** Says that another process holds the directory. */
class DirectoryInUseError extends Error {
  constructor(directory: string, holder: string) {
    const who = holder === "" ? "" : ` (pid ${holder})`;
    super(
      `store directory ${directory} is in use by another process${who}: stop it, or choose another directory with --store lmdb:DIRECTORY`,
    );
    this.name = "DirectoryInUseError";
  }
}

const socketName = "lock.sock";
// A holder that is alive but too busy to answer is still a holder.
const answerTimeoutMs = 1_000;

/** Takes a directory that exists. Throws DirectoryInUseError when another process has it. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const address = socketAddress(directory);
  try {
    return await listenOrTakeOver(directory, address.path, address.close);
  } catch (error) {
    address.close();
    throw error;
  }
}

async function listenOrTakeOver(directory: string, path: string, close: () => void): Promise<DirectoryLock> {
  try {
    return heldBy(await listen(path), close);
  } catch (error) {
    if (!isCode(error, "EADDRINUSE")) throw error;
  }
  const holder = await askHolder(path);
  if (holder !== undefined) throw new DirectoryInUseError(directory, holder);
  return heldBy(await takeOver(directory, path), close);
}

/**
 * Takes the place of a holder that is gone. Of several starters one does: a socket is only removed by who has the turn and
 * has then found it dead, so that none that lives ever is.
 */
async function takeOver(directory: string, path: string): Promise<Server> {
  const address = turnAddress(directory);
  const turn = address === undefined ? undefined : await listenAlone(directory, address);
  try {
    const holder = await askHolder(path);
    if (holder !== undefined) throw new DirectoryInUseError(directory, holder);
    rmSync(path, { force: true });
    return await listenAlone(directory, path);
  } finally {
    turn?.close();
  }
}

/** Listens; throws DirectoryInUseError where another starter does. */
async function listenAlone(directory: string, path: string): Promise<Server> {
  try {
    return await listen(path);
  } catch (error) {
    throw isCode(error, "EADDRINUSE") ? new DirectoryInUseError(directory, "") : error;
  }
}

/**
 * The address of the turn to take over: an abstract socket has no file that a process could leave behind. Where there are
 * none, two that start in the same moment after a crash are not kept apart.
 */
function turnAddress(directory: string): string | undefined {
  if (process.platform !== "linux") return undefined;
  const { dev, ino } = statSync(directory);
  return `\0coordination-takeover-${dev}-${ino}`;
}

function heldBy(server: Server, close: () => void): DirectoryLock {
  return {
    release: () =>
      new Promise((resolve) => {
        server.close(() => {
          close();
          resolve();
        });
      }),
  };
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.end(`${process.pid}\n`);
    });
    server.once("error", reject);
    server.listen(path, () => {
      server.removeListener("error", reject);
      server.unref();
      resolve(server);
    });
  });
}

/** The pid that the socket's holder answers with, empty if it does not answer; undefined when there is no holder. */
function askHolder(path: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    let answer = "";
    socket.setTimeout(answerTimeoutMs, () => socket.destroy());
    socket.on("data", (chunk) => {
      answer += chunk.toString();
    });
    socket.once("close", (hadError) => {
      if (!hadError) resolve(answer.trim());
    });
    socket.once("error", (error) => {
      if (isCode(error, "ECONNREFUSED") || isCode(error, "ENOENT")) resolve(undefined);
      else reject(error);
    });
  });
}

function socketAddress(directory: string): { readonly path: string; readonly close: () => void } {
  if (process.platform === "win32") {
    const name = createHash("sha256").update(directory).digest("hex");
    return { path: `\\\\.\\pipe\\coordination-${name}`, close: () => undefined };
  }
  if (process.platform !== "linux") return { path: join(directory, socketName), close: () => undefined };
  // A socket's path holds 107 bytes; through the directory's descriptor it is short however deep the directory lies.
  const descriptor = openSync(directory, "r");
  return { path: `/proc/self/fd/${descriptor}/${socketName}`, close: () => closeSync(descriptor) };
}

function isCode(error: unknown, code: string): boolean {
  return typeof error === "object" && error !== null && "code" in error && error.code === code;
}
