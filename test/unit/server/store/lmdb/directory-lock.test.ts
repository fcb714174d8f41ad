import { once } from "node:events";
import { readdirSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { lockDirectory } from "../../../../../server/src/store/lmdb/directory-lock.js";
import { spawnProcess } from "../../../../support/spawned-process.js";
import { temporaryDirectory } from "../../../../support/temporary-directory.js";

/** Listens on a socket as a holder does, says so and never ends. */
const holder = `
  const server = require("node:net").createServer((socket) => socket.end(process.pid + "\\n"));
  server.listen(process.argv[1], () => console.log("held"));
`;

describe("the lock of a directory", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;

  beforeEach(async () => {
    directory = await temporaryDirectory();
  });
  afterEach(async () => {
    await directory[Symbol.asyncDispose]();
  });

  test("is had by one at a time, who is named to the other", async () => {
    const lock = await lockDirectory(directory.path);
    await expect(lockDirectory(directory.path)).rejects.toThrow(
      `store directory ${directory.path} is in use by another process (pid ${process.pid})`,
    );
    await lock.release();
    await (await lockDirectory(directory.path)).release();
  });

  test("of a process that was killed is taken over, and nothing of it stays", async () => {
    await using child = await spawnProcess({
      args: ["-e", holder, join(directory.path, "lock.sock")],
      cwd: directory.path,
    });
    await child.waitForOutput(/held/);
    await expect(lockDirectory(directory.path)).rejects.toThrow(`(pid ${child.pid})`);
    child.kill("SIGKILL");
    await child.exited;
    expect(readdirSync(directory.path)).toEqual(["lock.sock"]);
    const lock = await lockDirectory(directory.path);
    await expect(lockDirectory(directory.path)).rejects.toThrow("is in use by another process");
    await lock.release();
    expect(readdirSync(directory.path)).toEqual([]);
  });

  test("of a killed process goes to one of many that want it", async () => {
    await using child = await spawnProcess({ args: ["-e", holder, join(directory.path, "lock.sock")] });
    await child.waitForOutput(/held/);
    child.kill("SIGKILL");
    await child.exited;
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockDirectory(directory.path)));
    const locks = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(locks).toHaveLength(1);
    await Promise.all(locks.map((lock) => lock.release()));
  });

  test("is respected although its holder says nothing", async () => {
    const mute = createServer((socket) => socket.end()).listen(join(directory.path, "lock.sock"));
    await once(mute, "listening");
    await expect(lockDirectory(directory.path)).rejects.toThrow("is in use by another process: stop it");
    mute.close();
    await once(mute, "close");
  });

  test("works in a directory that is deeper than a socket's path can be", async () => {
    const deep = join(directory.path, ...Array.from({ length: 20 }, (_, level) => `directory-${level}`));
    await mkdir(deep, { recursive: true });
    expect(deep.length).toBeGreaterThan(108);
    const lock = await lockDirectory(deep);
    await expect(lockDirectory(deep)).rejects.toThrow("is in use by another process");
    await lock.release();
  });
});
