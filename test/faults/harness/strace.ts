import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const installer = fileURLToPath(new URL("../install.sh", import.meta.url));

/** Makes sure that strace is there and may watch processes. Answers why not; undefined when all is well. */
export function missingStrace(): string | undefined {
  const installed = spawnSync("bash", [installer], { encoding: "utf8" });
  if (installed.status !== 0) return installed.stdout.trim() || "strace could not be installed";
  const probe = spawnSync("strace", ["-f", "-qq", "-o", "/dev/null", "-e", "trace=write", "true"], {
    encoding: "utf8",
  });
  return probe.status === 0 ? undefined : `strace may not watch processes here: ${probe.stderr.trim()}`;
}
