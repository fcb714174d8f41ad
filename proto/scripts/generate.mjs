// Generates proto/gen from the .proto files. With --check it changes nothing and fails when proto/gen is stale.
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const buf = join(dirname(createRequire(import.meta.url).resolve("@bufbuild/buf/package.json")), "bin", "buf");
const path = [join(root, "node_modules", ".bin"), process.env.PATH].join(process.platform === "win32" ? ";" : ":");

if (process.argv.includes("--check")) {
  check();
} else {
  generate(root);
}

function generate(output) {
  execFileSync(process.execPath, [buf, "generate", "--output", output], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, PATH: path },
  });
}

function check() {
  const fresh = mkdtempSync(join(tmpdir(), "coordination-proto-"));
  try {
    cpSync(join(root, "proto", "gen"), join(fresh, "committed"), { recursive: true });
    generate(fresh);
    execFileSync(
      "git",
      ["diff", "--no-index", "--stat", "--exit-code", join(fresh, "committed"), join(fresh, "proto", "gen")],
      { stdio: "inherit" },
    );
  } catch (error) {
    if (error.status === undefined) throw error;
    console.error("proto/gen is stale: run npm run generate and commit the result");
    process.exitCode = 1;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}
