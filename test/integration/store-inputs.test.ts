import { existsSync, readdirSync, readFileSync } from "node:fs";
import { chmod, chown, mkdir, truncate, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { metaKey, schemaVersion, sealOrdinal } from "../../server/src/store/lmdb/lmdb-records.js";
import { openLmdb } from "../../server/src/store/lmdb/open-lmdb.js";
import { runCommand } from "../support/run-command.js";
import { note } from "../support/sample-signals.js";
import { spawnServer } from "../support/spawned-server.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { grpc } from "../support/test-client.js";

const bin = join(import.meta.dirname, "..", "..", "server", "bin", "coordination-server.js");
const isRoot = process.getuid?.() === 0;
const nobody = { uid: 65_534, gid: 65_534 };
/** Who is kept out by a directory's permissions: root is not. */
const owner = isRoot ? nobody : undefined;

// Why some tests cannot be run here; undefined where they can.
const missingProc = existsSync("/proc/self") ? undefined : "there is no /proc";
const missingUser = (await canRun()) ? undefined : "another user cannot read the server's files";
const missingMount = (await canMount()) ? undefined : "a small file system cannot be mounted by this user";

const missingShell = process.platform === "win32" ? "there is no shell that limits the size of files" : undefined;

for (const reason of [missingProc, missingUser, missingMount, missingShell]) {
  if (reason !== undefined) console.log(`skipped: ${reason}`);
}

describe("a store that cannot be used", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;

  beforeEach(async () => {
    directory = await temporaryDirectory();
  });
  afterEach(async () => {
    await directory[Symbol.asyncDispose]();
  });

  const at = (...parts: readonly string[]): string => join(directory.path, ...parts);
  const start = (store: string, owner?: typeof nobody) =>
    runCommand({
      args: [bin, "--port", "0", "--store", store],
      owner,
      // A coverage run's directory is not another user's to write to.
      ...(owner !== undefined && { env: { NODE_V8_COVERAGE: undefined } }),
    });

  /** Starts a server that refuses, and answers its one line. */
  const refusal = async (store: string, code: number, owner?: typeof nobody): Promise<string> => {
    const ended = await start(store, owner);
    expect(ended).toMatchObject({ code, stdout: "" });
    const [line, ...rest] = ended.stderr.split("\n");
    expect(rest).toEqual([""]);
    return line ?? "";
  };

  test.each(["lmdb:", "", "redis://localhost", "sqlite.db", "lmdb"])(
    "named %j is refused with the forms there are",
    async (store) => {
      expect(await refusal(store, 2)).toBe(
        `coordination-server: --store is ${JSON.stringify(store)}, allowed is memory: (lost when the process ends), ` +
          "lmdb:DIRECTORY or postgres://USER:PASSWORD@HOST:PORT/DATABASE",
      );
    },
  );

  test("that is a file, or below one, is refused and the file is as it was", async () => {
    await writeFile(at("file"), "kept");
    expect(await refusal(`lmdb:${at("file")}`, 1)).toContain("it is a file, not a directory");
    expect(await refusal(`lmdb:${at("file", "store")}`, 1)).toContain("a part of its path is a file");
    expect(readFileSync(at("file"), "utf8")).toBe("kept");
    expect(readdirSync(directory.path)).toEqual(["file"]);
  });

  test.each([
    ["that is empty", ""],
    ["that is a text", "a text that somebody keeps here\n".repeat(1_000)],
  ])("whose data file is one %s is refused, and nothing is touched", async (_, content) => {
    await writeFile(at("signals.mdb"), content);
    expect(await refusal(`lmdb:${directory.path}`, 1)).toContain("is not a store, or is damaged");
    expect(readFileSync(at("signals.mdb"), "utf8")).toBe(content);
    expect(readdirSync(directory.path)).toEqual(["signals.mdb"]);
  });

  test("whose data file was cut off is refused", async () => {
    await fill(directory.path);
    await truncate(at("signals.mdb"), 5_000);
    expect(await refusal(`lmdb:${directory.path}`, 1)).toContain("it is too short");
    expect(readFileSync(at("signals.mdb"))).toHaveLength(5_000);
  });

  test("whose layout is newer is refused, and holds what it held", async () => {
    await fill(directory.path);
    const key = metaKey("schema");
    const db = openLmdb(at("signals.mdb"));
    await db.put(key, sealOrdinal(key, schemaVersion + 1));
    await db.close();
    const before = readFileSync(at("signals.mdb"));
    expect(await refusal(`lmdb:${directory.path}`, 1)).toContain(
      `has layout ${schemaVersion + 1}, this server knows ${schemaVersion}: use the server that wrote it`,
    );
    expect(readFileSync(at("signals.mdb")).equals(before)).toBe(true);
  });

  testUnless(missingProc)("below a file system in which nothing can be made ends at once", async () => {
    expect(await refusal("lmdb:/proc/store", 1)).toContain("cannot use store directory /proc/store");
  });

  testUnless(missingProc)(
    "is neither backed up to nor restored in a file system in which nothing can be made",
    async () => {
      await fill(directory.path);
      const backup = await runCommand({ args: [bin, "backup", "--store", `lmdb:${directory.path}`, "/proc/backup"] });
      const restore = await runCommand({ args: [bin, "restore", "--store", "lmdb:/proc/store", directory.path] });
      for (const { code, stderr } of [backup, restore]) {
        expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("ENOENT") });
      }
    },
  );

  testUnless(missingUser)("in a directory without permission is refused", async () => {
    await mkdir(at("closed"), { mode: 0o500 });
    await chmod(directory.path, 0o755);
    for (const store of [at("closed"), at("closed", "new")]) {
      expect(await refusal(`lmdb:${store}`, 1, owner)).toContain("this user may not read and write there");
    }
    expect(readdirSync(at("closed"))).toEqual([]);
    await mkdir(at("unreadable"));
    if (isRoot) await chown(at("unreadable"), nobody.uid, nobody.gid);
    await chmod(at("unreadable"), 0o300);
    expect(await refusal(`lmdb:${at("unreadable")}`, 1, owner)).toContain("this user may not read and write there");
    await chmod(at("unreadable"), 0o700);
  });

  testUnless(missingMount)("on a full disk is refused, and nothing is left there", async () => {
    await mkdir(at("disk"));
    expect(await mountSmall(at("disk"))).toBe(true);
    try {
      expect(await refusal(`lmdb:${at("disk")}`, 1)).toContain("the disk is full");
      expect(readdirSync(at("disk"))).toEqual([]);
    } finally {
      await unmount(at("disk"));
    }
  });

  testUnless(missingShell)(
    "in which a file gets only a part of its space is refused, and used once there is more",
    async () => {
      const server = `exec "${process.execPath}" "${bin}" --port 0 --store "lmdb:${directory.path}"`;
      // Counted in blocks of 512 or 1,024 bytes: more than the data file begins with, less than its write-ahead log takes.
      const ended = await runCommand({
        command: "sh",
        args: ["-c", `ulimit -f 4000 && ${server}`],
        env: { NODE_V8_COVERAGE: undefined },
      });
      expect(ended).toMatchObject({ code: 1, stdout: "" });
      expect(ended.stderr).toContain(`cannot use store directory ${directory.path}: EFBIG`);
      await fill(directory.path);
      await using second = await spawnServer(["--store", `lmdb:${directory.path}`]);
      using client = grpc.connect(second.url);
      expect((await client.signals.getSignalHistory({ coordinationId: "c" })).signals).toHaveLength(1);
    },
  );

  test("because another process has it is refused with that process' number, until that one is killed", async () => {
    const store = `lmdb:${directory.path}`;
    await using first = await spawnServer(["--store", store]);
    expect(await refusal(store, 1)).toContain(`is in use by another process (pid ${first.pid})`);
    using client = grpc.connect(first.url);
    await client.signals.sendSignal(note("c"));
    client.disconnect();
    first.kill("SIGKILL");
    await first.exited;
    expect(readdirSync(directory.path)).toContain("lock.sock");
    await using second = await spawnServer(["--store", store]);
    using again = grpc.connect(second.url);
    expect((await again.signals.getSignalHistory({ coordinationId: "c" })).signals).toHaveLength(1);
    expect(await refusal(store, 1)).toContain(`(pid ${second.pid})`);
  });
});

describe("a store's directory", () => {
  test.each([
    ["relative", (path: string) => relative(process.cwd(), join(path, "store"))],
    ["deeper than a socket's path can be", (path: string) => join(path, ...Array<string>(12).fill("a-long-directory"))],
    ["named with spaces and letters of another script", (path: string) => join(path, "ein Verzeichnis, für Σ")],
  ])("can be %s", async (_, place) => {
    await using directory = await temporaryDirectory();
    const path = place(directory.path);
    await fill(path);
    await using server = await spawnServer(["--store", `lmdb:${path}`]);
    using client = grpc.connect(server.url);
    expect((await client.signals.getSignalHistory({ coordinationId: "c" })).signals).toHaveLength(1);
  });
});

/** Makes a store with one signal in it. */
async function fill(directory: string): Promise<void> {
  await using server = await spawnServer(["--store", `lmdb:${directory}`]);
  using client = grpc.connect(server.url);
  await client.signals.sendSignal(note("c"));
}

function testUnless(reason: string | undefined): typeof test | typeof test.skip {
  return reason === undefined ? test : test.skip;
}

async function canRun(): Promise<boolean> {
  try {
    return (await runCommand({ args: [bin, "--version"], owner })).code === 0;
  } catch {
    return false;
  }
}

async function canMount(): Promise<boolean> {
  await using directory = await temporaryDirectory();
  if (!(await mountSmall(directory.path))) return false;
  await unmount(directory.path);
  return true;
}

/** Mounts a file system with too little room for a store; answers whether that could be done. */
async function mountSmall(path: string): Promise<boolean> {
  try {
    const args = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", path];
    return (await runCommand({ command: "mount", args })).code === 0;
  } catch {
    return false;
  }
}

async function unmount(path: string): Promise<void> {
  expect(await runCommand({ command: "umount", args: [path] })).toMatchObject({ code: 0 });
}
