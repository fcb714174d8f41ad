import { readFileSync } from "node:fs";

/** Version of the server, as its package states it. */
export const serverVersion: string = readVersion();

function readVersion(): string {
  // The same place from the sources and from the build.
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
