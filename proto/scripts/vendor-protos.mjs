/**
 * Recreates the files of others under `proto/vendor` from npm packages, so that building needs no schema registry.
 *
 *     node proto/scripts/vendor-protos.mjs [--check] [DIRECTORY]
 *
 * `DIRECTORY` is `proto/vendor` unless given. With `--check` nothing is written; the exit code is 1 when a file there
 * differs from what would be written, is missing, or has no source here.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { printProto } from "./print-proto.mjs";

const packages = createRequire(import.meta.url);

/** Files that a package holds as they are: path under the vendor directory to path in the package. */
const COPIES = {
  "google/rpc/status.proto": ["google-proto-files", "google/rpc/status.proto"],
  "google/rpc/error_details.proto": ["google-proto-files", "google/rpc/error_details.proto"],
  "grpc/health/v1/health.proto": ["grpc-health-check", "proto/health/v1/health.proto"],
  "grpc/reflection/v1/reflection.proto": ["@grpc/reflection", "build/proto/grpc/reflection/v1/reflection.proto"],
  "grpc/reflection/v1alpha/reflection.proto": [
    "@grpc/reflection",
    "build/proto/grpc/reflection/v1alpha/reflection.proto",
  ],
};

const PRINTED_HEADER = `// Copyright 2023-2026 Buf Technologies, Inc.
// Licensed under the Apache License, Version 2.0: http://www.apache.org/licenses/LICENSE-2.0
//
// Printed from the descriptor in the npm package @bufbuild/protovalidate, without its comments:
// the commented original is at https://buf.build/bufbuild/protovalidate.

`;

const { values, positionals } = parseArgs({ options: { check: { type: "boolean" } }, allowPositionals: true });
const directory = positionals[0] ?? fileURLToPath(new URL("../vendor", import.meta.url));
const files = new Map([
  ...Object.entries(COPIES).map(([path, source]) => [path, readFromPackage(...source)]),
  ["buf/validate/validate.proto", PRINTED_HEADER + format(printProto(file_buf_validate_validate))],
]);

if (values.check) {
  check();
} else {
  write();
}

function write() {
  for (const [path, text] of files) {
    const file = join(directory, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

function check() {
  const present = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)).split(sep).join("/"));
  const faults = [...new Set([...files.keys(), ...present])].flatMap((path) => {
    if (!files.has(path)) return [`${path} has no source`];
    if (!present.includes(path)) return [`${path} is missing`];
    return readFileSync(join(directory, path), "utf8") === files.get(path) ? [] : [`${path} differs from its source`];
  });
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) {
    console.error("run npm run vendor and commit the result");
    process.exitCode = 1;
  }
}

function readFromPackage(name, path) {
  return readFileSync(join(folderOf(name), path), "utf8");
}

function folderOf(name) {
  return dirname(packages.resolve(`${name}/package.json`));
}

/** buf formats files, not its standard input. */
function format(text) {
  const folder = mkdtempSync(join(tmpdir(), "coordination-vendor-"));
  try {
    const file = join(folder, "printed.proto");
    writeFileSync(file, text);
    const buf = join(folderOf("@bufbuild/buf"), "bin", "buf");
    return execFileSync(process.execPath, [buf, "format", file], { encoding: "utf8" });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
