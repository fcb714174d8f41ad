import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "./child-program.js";

/** How long the server may take to listen, in milliseconds. */
const startTimeoutMs = 30_000;

/** A coordination server that the demo has started for itself. */
export interface OwnServer extends AsyncDisposable {
  readonly url: string;
  /** Settles with the reason when the server has ended. */
  readonly ended: Promise<Error>;
}

/**
 * Starts a server on a free port of this machine, with an embedded store in a temporary folder that goes with it.
 * @throws Error when it does not listen, with what it said.
 */
export async function startOwnServer(signal: AbortSignal): Promise<OwnServer> {
  const storeFolder = await mkdtemp(path.join(tmpdir(), "coordination-store-"));
  const file = fileURLToPath(new URL("./supervised-server.js", import.meta.url));
  const args = ["--port", "0", "--store", `lmdb:${storeFolder}`];
  let onUrl: (url: string) => void = () => {};
  const listening = new Promise<string>((resolve) => {
    onUrl = resolve;
  });
  const server = new ChildProgram(file, args, (line) => {
    const [, url] = /^listening on (\S+)$/.exec(line) ?? [];
    if (url !== undefined) onUrl(url);
  });
  const ended = server.ended.then(
    ({ exitCode }) => new Error(`the server ended with code ${exitCode}\n${server.errorText}`),
    (error: Error) => error,
  );
  const dispose = async () => {
    await server[Symbol.asyncDispose]();
    await rm(storeFolder, { recursive: true, force: true });
  };
  try {
    const url = await firstOf({ listening, ended, signal });
    return { url, ended, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

interface ServerStart {
  readonly listening: Promise<string>;
  readonly ended: Promise<Error>;
  readonly signal: AbortSignal;
}

async function firstOf({ listening, ended, signal }: ServerStart): Promise<string> {
  const giveUp = AbortSignal.any([signal, AbortSignal.timeout(startTimeoutMs)]);
  let onAbort = () => {};
  const aborted = new Promise<Error>((resolve) => {
    onAbort = () =>
      resolve(signal.aborted ? signal.reason : new Error(`the server did not listen within ${startTimeoutMs} ms`));
    giveUp.addEventListener("abort", onAbort);
  });
  if (giveUp.aborted) onAbort();
  const first = await Promise.race([listening, ended, aborted]);
  giveUp.removeEventListener("abort", onAbort);
  if (typeof first === "string") return first;
  throw first;
}
