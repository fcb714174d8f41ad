import { cpSync } from "node:fs";
import { basename } from "node:path";

/** Copies the files of an LMDB store that is open as a kill would leave them: nothing is closed, and meanwhile nothing begins. */
export function copyAsKilled(directory: string, copy: string): void {
  const isStoreFile = (path: string): boolean => path === directory || basename(path).startsWith("signals.");
  cpSync(directory, copy, { recursive: true, filter: isStoreFile });
}
