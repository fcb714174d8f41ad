import { execFile } from "node:child_process";
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";

const run = promisify(execFile);
const script = fileURLToPath(new URL("../../../proto/scripts/vendor-protos.mjs", import.meta.url));
const committed = fileURLToPath(new URL("../../../proto/vendor", import.meta.url));
const buf = join(dirname(createRequire(import.meta.url).resolve("@bufbuild/buf/package.json")), "bin", "buf");

let directory = "";

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coordination-vendor-test-"));
});

afterEach(() => rm(directory, { recursive: true, force: true }));

async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}

function vendor(...args: readonly string[]) {
  return run(process.execPath, [script, ...args]);
}

describe("vendor-protos", () => {
  test("recreates everything that is committed", async () => {
    await vendor(directory);
    const recreated = await filesIn(directory);
    expect(recreated.map((file) => file.slice(directory.length))).toEqual(
      (await filesIn(committed)).map((file) => file.slice(committed.length)),
    );
    for (const file of recreated) {
      expect(await readFile(file, "utf8")).toBe(await readFile(join(committed, file.slice(directory.length)), "utf8"));
    }
  });

  test("accepts with --check what it wrote", async () => {
    await vendor(directory);
    await expect(vendor("--check", directory)).resolves.toMatchObject({ stderr: "" });
    await expect(vendor("--check", committed)).resolves.toMatchObject({ stderr: "" });
  });

  test("names with --check what differs, is missing, or has no source", async () => {
    await vendor(directory);
    await appendFile(join(directory, "google/rpc/status.proto"), "// changed by hand\n");
    await rm(join(directory, "grpc/health/v1/health.proto"));
    await writeFile(join(directory, "google/rpc/code.proto"), 'syntax = "proto3";\n');
    await expect(vendor("--check", directory)).rejects.toMatchObject({
      code: 1,
      stderr: [
        "google/rpc/status.proto differs from its source",
        "grpc/health/v1/health.proto is missing",
        "google/rpc/code.proto has no source",
        "run npm run vendor and commit the result",
        "",
      ].join("\n"),
    });
  });

  test("prints a validate.proto that compiles to the very descriptor of the npm package", async () => {
    const image = join(directory, "validate.binpb");
    await run(process.execPath, [
      buf,
      "build",
      committed,
      "--path",
      join(committed, "buf"),
      "--as-file-descriptor-set",
      "--exclude-source-info",
      "--output",
      image,
    ]);
    const { file } = fromBinary(FileDescriptorSetSchema, await readFile(image));
    const printed = file.find(({ name }) => name === "buf/validate/validate.proto");
    if (printed === undefined) throw new Error("buf did not compile validate.proto");
    const bytes = toBinary(FileDescriptorProtoSchema, printed);
    expect(bytes.length).toBeGreaterThan(50_000);
    expect(Buffer.from(bytes).equals(toBinary(FileDescriptorProtoSchema, file_buf_validate_validate.proto))).toBe(true);
  });
});
