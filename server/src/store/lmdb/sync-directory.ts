import { closeSync, fsyncSync, openSync } from "node:fs";

/** Makes names in a directory durable; where the system cannot do that for a directory, it does it by itself. */
export function syncDirectory(directory: string): void {
  if (process.platform === "win32") return;
  const descriptor = openSync(directory, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
