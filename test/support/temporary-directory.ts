import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** An empty directory that is removed with everything in it when it is disposed of. */
export type TemporaryDirectory = AsyncDisposable & { readonly path: string };

/** A temporary directory in the system's place for them. */
export function temporaryDirectory(): Promise<TemporaryDirectory> {
  return directoryIn(tmpdir());
}

/** A temporary directory in the workspace, so that programs in it find the workspace's packages. */
export async function workspaceDirectory(): Promise<TemporaryDirectory> {
  const cache = fileURLToPath(new URL("../.cache", import.meta.url));
  await mkdir(cache, { recursive: true });
  return directoryIn(cache);
}

async function directoryIn(parent: string): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(parent, "coordination-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
