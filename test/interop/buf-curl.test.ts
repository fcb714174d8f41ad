import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type CommandResult, runCommand } from "../support/run-command.js";
import { spawnProcess } from "../support/spawned-process.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";
import { describeWith } from "./toolchain.js";

describeWith("buf", (buf) => {
  let server: SpawnedServer;

  beforeAll(async () => {
    server = await spawnServer();
  });

  afterAll(async () => {
    await server.stop();
  });

  const command = (method: string, request: object, options: readonly string[]) => ({
    command: buf,
    args: [
      ...["curl", "--http2-prior-knowledge", ...options, "-d", JSON.stringify(request)],
      `${server.url}/coordination.v1.SignalService/${method}`,
    ],
  });

  const call = (method: string, request: object, ...options: string[]): Promise<CommandResult> =>
    runCommand(command(method, request, options));

  const completed = (coordinationId: string, summary: string) => ({
    coordinationId,
    senderAgentId: "model-gen",
    agentCompleted: { resultSummary: summary },
  });

  describe.each(["grpc", "grpcweb", "connect"])("over %s", (protocol) => {
    const options = ["--protocol", protocol];

    test("sends a signal and reads it back", async () => {
      const id = `read-${protocol}`;
      const sent = await call("SendSignal", completed(id, "5 models"), ...options);
      expect(JSON.parse(sent.stdout)).toMatchObject({ sequence: "1" });
      const { stdout } = await call("GetSignalHistory", { coordinationId: id }, ...options);
      expect(JSON.parse(stdout).signals).toMatchObject([{ agentCompleted: { resultSummary: "5 models" } }]);
    });

    test("streams history and then that it has caught up", async () => {
      const id = `streamed-${protocol}`;
      await call("SendSignal", completed(id, "first"), ...options);
      const request = { coordinationId: id, position: "START_POSITION_EARLIEST" };
      await using stream = await spawnProcess(command("Subscribe", request, options));
      await stream.waitForOutput(/"caughtUp"/);
      await stream.stop();
      expect(stream.stdout()).toMatch(/"subscribed".*"first".*"caughtUp"/s);
    });

    test("gets the reason of a refusal", async () => {
      const { code, stderr } = await call("GetSignalMetrics", { coordinationId: "unknown" }, ...options);
      expect(code).not.toBe(0);
      const { code: name, details } = JSON.parse(stderr);
      expect(name).toBe("not_found");
      expect(details[0].type).toBe("google.rpc.ErrorInfo");
      expect(Buffer.from(details[0].value, "base64").toString()).toContain("COORDINATION_NOT_FOUND");
    });
  });

  test.each(["grpc-v1", "grpc-v1alpha"])("reads the contract by reflection %s", async (protocol) => {
    const options = ["--protocol", "grpc", "--reflect", "--reflect-protocol", protocol];
    const { code, stderr } = await call("SendSignal", completed(`reflected-${protocol}`, "5 models"), ...options);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });
});
