import { existsSync } from "node:fs";
import { join } from "node:path";
import { runQuietly } from "./run-quietly.mjs";

const VERSION = "v1.9.3";
const MODULE = "github.com/fullstorydev/grpcurl/cmd/grpcurl";

/** Builds grpcurl at a pinned version with the Go toolchain, once; without Go it takes the one on the path. */
export function installGrpcurl(cache) {
  const directory = join(cache, `grpcurl-${VERSION}`);
  const path = join(directory, process.platform === "win32" ? "grpcurl.exe" : "grpcurl");
  if (existsSync(path)) return { path };
  if (runQuietly("go", ["version"]) === undefined) {
    return runQuietly("grpcurl", ["-version"]) === undefined
      ? { reason: "neither go nor grpcurl is on the path" }
      : { path: "grpcurl" };
  }
  const built = runQuietly("go", ["install", "-ldflags", `-X main.version=${VERSION}`, `${MODULE}@${VERSION}`], {
    env: { GOBIN: directory },
  });
  return built === undefined ? { reason: `go install of grpcurl ${VERSION} failed` } : { path };
}
