import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type CommandResult, runCommand } from "../support/run-command.js";
import { spawnProcess } from "../support/spawned-process.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";
import { describeWith } from "./toolchain.js";

const COMPLETED = { agentId: "model-gen", resultSummary: "5 models", qualityScore: 0.95 };

describeWith("curl", (curl) => {
  let server: SpawnedServer;
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "interop-curl-"));
    server = await spawnServer();
    await post("SignalService/SendSignal", {
      coordinationId: "demo",
      senderAgentId: "model-gen",
      agentCompleted: COMPLETED,
    });
  });

  afterAll(async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const request = (...args: string[]): Promise<CommandResult> =>
    runCommand({ command: curl, args: ["--silent", "--show-error", ...args] });

  const post = (method: string, body: object, ...args: string[]): Promise<CommandResult> =>
    request("-H", "content-type: application/json", "-d", JSON.stringify(body), ...args, address(method));

  const get = (method: string, message: object): Promise<CommandResult> => {
    const query = new URLSearchParams({ connect: "v1", encoding: "json", message: JSON.stringify(message) });
    return request(`${address(method)}?${query}`);
  };

  const address = (method: string): string => `${server.url}/coordination.v1.${method}`;

  describe.each(["--http1.1", "--http2-prior-knowledge"])("JSON over %s", (version) => {
    test("sends a signal", async () => {
      const body = { coordinationId: `sent${version}`, senderAgentId: "model-gen", agentCompleted: COMPLETED };
      const { stdout } = await post("SignalService/SendSignal", body, version);
      expect(JSON.parse(stdout)).toMatchObject({ sequence: "1", signalId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    });

    test("reads history", async () => {
      const { stdout } = await post("SignalService/GetSignalHistory", { coordinationId: "demo" }, version);
      expect(JSON.parse(stdout).signals).toMatchObject([{ sequence: "1", agentCompleted: COMPLETED }]);
    });

    test("reads metrics", async () => {
      const { stdout } = await post("SignalService/GetSignalMetrics", { coordinationId: "demo" }, version);
      expect(JSON.parse(stdout)).toMatchObject({ totalSignalsSent: "1", signalsByType: { AGENT_COMPLETED: "1" } });
    });
  });

  test("reads with GET what has no side effect", async () => {
    const { stdout } = await get("SignalService/GetSignalHistory", { coordinationId: "demo" });
    expect(JSON.parse(stdout).signals).toMatchObject([{ agentCompleted: COMPLETED }]);
  });

  test("is refused a GET of what has side effects", async () => {
    const { stdout } = await request(
      "--include",
      `${address("SignalService/SendSignal")}?connect=v1&encoding=json&message=%7B%7D`,
    );
    expect(stdout).toMatch(/^HTTP\/1\.1 405 /);
  });

  test("gets errors as JSON with their reason", async () => {
    const { stdout } = await post("SignalService/GetSignalMetrics", { coordinationId: "unknown" }, "--include");
    expect(stdout).toMatch(/^HTTP\/1\.1 404 /);
    const error: unknown = JSON.parse(stdout.slice(stdout.indexOf("{")));
    expect(error).toMatchObject({
      code: "not_found",
      details: [
        { type: "google.rpc.ErrorInfo", debug: { reason: "COORDINATION_NOT_FOUND", domain: "coordination.v1" } },
      ],
    });
  });

  test("subscribes by a Connect stream of JSON", async () => {
    const message = Buffer.from(JSON.stringify({ coordinationId: "demo", position: "START_POSITION_EARLIEST" }));
    const header = Buffer.alloc(5); // flags, then the length of the message
    header.writeUInt32BE(message.length, 1);
    const body = join(directory, "subscribe.bin");
    await writeFile(body, Buffer.concat([header, message]));
    const args = ["-H", "content-type: application/connect+json", "--data-binary", `@${body}`];
    await using stream = await spawnProcess({
      command: curl,
      args: ["--silent", "--no-buffer", ...args, address("SignalService/Subscribe")],
    });
    await stream.waitForOutput(/"caughtUp"/);
    await stream.stop();
    expect(stream.stdout()).toMatch(/"subscribed".*"resultSummary":"5 models".*"caughtUp"/s);
  });

  test("reads the operator's pages", async () => {
    const { stdout: health } = await request("--write-out", "%{http_code}", `${server.url}/healthz`);
    const { stdout: ready } = await request("--write-out", "%{http_code}", `${server.url}/readyz`);
    const { stdout: metrics } = await request(`${server.url}/metrics`);
    expect([health.slice(-3), ready.slice(-3)]).toEqual(["200", "200"]);
    expect(metrics).toMatch(/^# TYPE coordination_\w+ counter$/m);
  });
});
