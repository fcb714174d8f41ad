import { describe, expect, test } from "@jest/globals";
import { spawnProcess } from "../../support/spawned-process.js";

const ECHO = "console.error('to stderr'); console.log('ready 42'); setInterval(() => {}, 1000);";
const DEAF = "process.on('SIGTERM', () => console.log('ignored')); console.log('ready'); setInterval(() => {}, 1000);";

describe("spawnProcess", () => {
  test("waits for a line of output and keeps both streams", async () => {
    await using child = await spawnProcess({ args: ["-e", ECHO] });
    const [, number] = await child.waitForOutput(/^ready (\d+)$/m);
    expect(number).toBe("42");
    expect(await child.stop()).toEqual({ code: null, signal: "SIGTERM" });
    expect(child.stdout()).toBe("ready 42\n");
    expect(child.stderr()).toBe("to stderr\n");
  });

  test("fails with the output of a process that ends before the line", async () => {
    await using child = await spawnProcess({ args: ["-e", "console.error('no disk'); process.exit(3)"] });
    await expect(child.waitForOutput(/listening/)).rejects.toThrow(/code 3, signal null[\s\S]*no disk/);
  });

  test("fails when the line does not come in time", async () => {
    await using child = await spawnProcess({ args: ["-e", ECHO] });
    await child.waitForOutput(/ready/);
    await expect(child.waitForOutput(/never/, 1)).rejects.toThrow(/ran for 1 ms/);
  });

  test("signals the process and reports how it ended", async () => {
    await using child = await spawnProcess({ args: ["-e", DEAF] });
    await child.waitForOutput(/ready/);
    child.kill("SIGTERM");
    await child.waitForOutput(/ignored/);
    child.kill("SIGKILL");
    expect(await child.exited).toEqual({ code: null, signal: "SIGKILL" });
  });

  test("fails when the program does not exist", async () => {
    await expect(spawnProcess({ command: "no-such-program", args: [] })).rejects.toThrow(/ENOENT/);
  });

  test("passes the tests' environment without the runner's NODE_OPTIONS", async () => {
    const print = "console.log(process.env.NODE_OPTIONS, process.env.EXTRA, process.env.PATH !== undefined)";
    await using child = await spawnProcess({ args: ["-e", print], env: { EXTRA: "x" } });
    await child.waitForOutput(/^undefined x true$/m);
  });
});
