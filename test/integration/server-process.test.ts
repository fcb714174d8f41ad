import { once } from "node:events";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { envelope } from "../support/raw-http2.js";
import { type SpawnedProcess, spawnProcess } from "../support/spawned-process.js";
import { spawnServer } from "../support/spawned-server.js";

const bin = fileURLToPath(new URL("../../server/bin/coordination-server.js", import.meta.url));
const start = fileURLToPath(new URL("../../server/bin/start.js", import.meta.url));
const subscribe = "/coordination.v1.SignalService/Subscribe";

/** Runs the server until it ends by itself. */
async function run(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<[code: number | null, server: SpawnedProcess]> {
  const server = await spawnProcess({ args: [bin, ...args], env });
  return [(await server.exited).code, server];
}

/** A client with a subscription that never reads: it takes the headers and stalls after one window. */
async function stalledSubscriber(url: string): Promise<AsyncDisposable> {
  const session = connectHttp2(url);
  session.on("error", () => {});
  const send = async (body: unknown) => {
    const headers = { "content-type": "application/json" };
    await fetch(`${url}/coordination.v1.SignalService/SendSignal`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
    });
  };
  const message = "m".repeat(50_000);
  for (let count = 0; count < 4; count += 1) {
    await send({ coordinationId: "c", senderAgentId: "a", interAgentMessage: { messageType: "t", message } });
  }
  const stream = session.request({ ":method": "POST", ":path": subscribe, "content-type": "application/connect+json" });
  stream.on("error", () => {});
  stream.end(envelope(Buffer.from('{"coordinationId":"c","position":"START_POSITION_EARLIEST"}')));
  await once(stream, "response");
  return {
    [Symbol.asyncDispose]: async () => {
      if (session.destroyed) return;
      session.destroy();
      await once(session, "close");
    },
  };
}

describe("the server's process", () => {
  test("writes one line to its standard output when it listens, and its log as JSON to the other", async () => {
    const server = await spawnServer();
    expect((await server.stop()).code).toBe(0);
    expect(server.stdout()).toBe(`listening on ${server.url}\n`);
    const lines = server
      .stderr()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ msg }) => msg)).toEqual(["listening", "shutting down", "shut down"]);
    expect(lines[0]).toMatchObject({ level: 30, url: server.url, store: "memory:" });
  });

  test.each(["SIGTERM", "SIGINT"] as const)(
    "ends with 0 after %s while a stalled subscriber is connected",
    async (signal) => {
      const server = await spawnServer(["--shutdown-grace", "200ms"]);
      await using _client = await stalledSubscriber(server.url);
      server.kill(signal);
      expect(await server.exited).toEqual({ code: 0, signal: null });
    },
  );

  test("ends at once, and not with 0, at the second signal", async () => {
    const server = await spawnServer(["--shutdown-grace", "9s"]);
    await using _client = await stalledSubscriber(server.url);
    server.kill("SIGTERM");
    while (!server.stderr().includes("shutting down")) await new Promise((resolve) => setImmediate(resolve));
    server.kill("SIGINT");
    expect(await server.exited).toEqual({ code: 130, signal: null });
  });

  test("ends with 2 and one line when a setting is wrong", async () => {
    const [code, server] = await run(["--port", "x"]);
    expect([code, server.stdout(), server.stderr()]).toEqual([
      2,
      "",
      'coordination-server: --port is "x", allowed is a whole number from 0 to 65535\n',
    ]);
  });

  test("takes its settings from variables too", async () => {
    const [code, server] = await run([], { COORDINATION_LOG_LEVEL: "loud" });
    expect([code, server.stderr()]).toEqual([
      2,
      expect.stringContaining('COORDINATION_LOG_LEVEL is "loud", allowed is one of'),
    ]);
  });

  test("ends with 1 and one line when its port is taken", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    const port = typeof address === "object" ? String(address?.port) : "";
    const [code, server] = await run(["--port", port, "--store", "memory:"]);
    other.close();
    expect([code, server.stdout(), server.stderr()]).toEqual([
      1,
      "",
      `coordination-server: port ${port} of 127.0.0.1 is in use: stop the process that has it, or choose another with --port (0 picks a free one)\n`,
    ]);
  });

  test("prints help and version to its standard output", async () => {
    const [helpCode, help] = await run(["--help"]);
    expect([helpCode, help.stderr()]).toEqual([0, ""]);
    expect(help.stdout()).toMatch(/^Usage: coordination-server \[options\]\n/);
    const [versionCode, version] = await run(["--version"]);
    expect([versionCode, version.stdout()]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)]);
  });

  test("writes its log for people when asked", async () => {
    await using server = await spawnServer(["--log-format", "text"]);
    await server.stop();
    expect(server.stderr()).toMatch(/^\d\d:\d\d:\d\d\.\d{3} INFO {2}listening url=http:/);
  });

  test("refuses a request that is too large after decompression", async () => {
    await using server = await spawnServer();
    const body = gzipSync(Buffer.from(JSON.stringify({ service: "x".repeat(5_000_000) })));
    const headers = { "content-type": "application/json", "content-encoding": "gzip" };
    const answer = await fetch(`${server.url}/grpc.health.v1.Health/Check`, { method: "POST", headers, body });
    expect([answer.status, await answer.json()]).toMatchObject([
      429,
      { code: "resource_exhausted", details: [{ debug: { reason: "REQUEST_TOO_LARGE" } }] },
    ]);
  });
});

describe("the bin of a server that is not built", () => {
  let directory = "";
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "coordination-bin-"));
    await cp(bin, join(directory, "bin", "coordination-server.mjs"));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  test("says what to run", async () => {
    const server = await spawnProcess({ args: [join(directory, "bin", "coordination-server.mjs")] });
    expect((await server.exited).code).toBe(1);
    expect(server.stderr()).toBe("coordination-server: not built yet, run: npm run build\n");
  });
});

describe("npm start", () => {
  test("passes arguments on, says what to try next, and ends with 0 at SIGTERM", async () => {
    await using server = await spawnProcess({ args: [start, "--port", "0", "--store", "memory:"] });
    const [, url] = await server.waitForOutput(/^listening on (\S+)$/m);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    server.kill("SIGTERM");
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(server.stdout()).toBe(`listening on ${url}\n`);
    expect(server.stderr()).toContain(`npm run demo -- --server ${url}`);
    expect(server.stderr()).toMatch(/grpcurl -plaintext 127\.0\.0\.1:\d+ list/);
  });

  test("ends when the shell that npm runs it in is ended", async () => {
    const shell = `"${process.execPath}" "${start}" --port 0 --store memory: & wait`;
    await using parent = await spawnProcess({ command: "sh", args: ["-c", shell] });
    await parent.waitForOutput(/^listening on/m);
    parent.kill("SIGKILL");
    // Its output stays open for as long as the server lives.
    await parent.exited;
    expect(parent.stderr()).toContain("shut down");
  });
});
