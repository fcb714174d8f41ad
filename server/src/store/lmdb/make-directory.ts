import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { syncDirectory } from "./sync-directory.js";

/**
 * Makes a directory with those above it, durably. Node's own way to do that never ends where the system says of a directory
 * that exists that nothing can be in it, as /proc does.
 */
export function makeDirectory(directory: string): void {
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const parent = dirname(directory);
  if (!existsSync(parent)) makeDirectory(parent);
  mkdirSync(directory);
  syncDirectory(parent);
}
