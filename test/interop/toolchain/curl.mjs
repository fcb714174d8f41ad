import { runQuietly } from "./run-quietly.mjs";

/** Finds curl with HTTP/2. */
export function findCurl() {
  const version = runQuietly("curl", ["--version"]);
  if (version === undefined) return { reason: "no curl on the path" };
  return version.includes("HTTP2") ? { path: "curl" } : { reason: "this curl does not speak HTTP/2" };
}
