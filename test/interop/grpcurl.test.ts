import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type CommandResult, runCommand } from "../support/run-command.js";
import { spawnProcess } from "../support/spawned-process.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";
import { parseJsonStream } from "./json-stream.js";
import { describeWith } from "./toolchain.js";

const CONTRACT = fileURLToPath(new URL("../../proto/coordination/v1", import.meta.url));
const NOT_FOUND_EXIT_CODE = 64 + 5;
const INVALID_ARGUMENT_EXIT_CODE = 64 + 3;
const SEND = "coordination.v1.SignalService/SendSignal";
const SUBSCRIBE = "coordination.v1.SignalService/Subscribe";
const INITIALIZED = { agent_id: "model-gen", capabilities: ["typescript"], ready: true, initialization_time_ms: 45.3 };
const COMPLETED = { agent_id: "model-gen", result_summary: "5 models", quality_score: 0.95 };
const RESOLVED = { dependency_type: "model", dependency_id: "UserModel", resolution_data: { fields: ["id", "name"] } };
const MESSAGE = { message_type: "request", message: "Need validator for UserModel", requires_response: true };

describeWith("grpcurl", (grpcurl) => {
  let server: SpawnedServer;
  let address: string;

  beforeAll(async () => {
    server = await spawnServer();
    address = `localhost:${server.port}`;
  });

  afterAll(async () => {
    await server.stop();
  });

  const call = (...args: string[]): Promise<CommandResult> =>
    runCommand({ command: grpcurl, args: ["-plaintext", ...args] });

  const send = (request: object, method = SEND) => call("-d", JSON.stringify(request), address, method);

  const stored = async (request: object) => {
    const result = await send({ coordination_id: "four", sender_agent_id: "model-gen", ...request });
    expect(result).toMatchObject({ code: 0, stderr: "" });
    return JSON.parse(result.stdout);
  };

  describe("reflection", () => {
    test("lists every service of the contract, health and reflection", async () => {
      const files = await readdir(CONTRACT);
      const texts = await Promise.all(files.map((file) => readFile(join(CONTRACT, file), "utf8")));
      const declared = texts.flatMap((text) =>
        [...text.matchAll(/^service (\w+)/gm)].map(([, name]) => `coordination.v1.${name}`),
      );
      const { stdout } = await call(address, "list");
      expect(stdout.trim().split("\n")).toEqual(
        [
          ...declared,
          "grpc.health.v1.Health",
          ...["v1", "v1alpha"].map((v) => `grpc.reflection.${v}.ServerReflection`),
        ].sort(),
      );
    });

    test("describes a service with its methods", async () => {
      const { stdout } = await call(address, "describe", "coordination.v1.SignalService");
      expect(stdout).toContain("rpc SendSignal ( .coordination.v1.SendSignalRequest )");
      expect(stdout).toContain("returns ( stream .coordination.v1.SubscribeResponse )");
    });

    test("describes a message with its validation rules", async () => {
      const { stdout } = await call(address, "describe", "coordination.v1.SendSignalRequest");
      expect(stdout).toContain("(.buf.validate.field)");
      expect(stdout).toContain("oneof event");
    });
  });

  test("sends each of the four signals, stored with consecutive sequences", async () => {
    const answers = [
      await stored({ agent_initialized: INITIALIZED }),
      await stored({ agent_completed: COMPLETED }),
      await stored({ dependency_resolved: RESOLVED, priority: "PRIORITY_HIGH" }),
      await stored({ inter_agent_message: MESSAGE, metadata: { attempt: "1" }, request_id: "ask-1" }),
    ];
    expect(answers.map(({ sequence }) => sequence)).toEqual(["1", "2", "3", "4"]);
    expect(await stored({ inter_agent_message: MESSAGE, metadata: { attempt: "1" }, request_id: "ask-1" })).toEqual({
      ...answers[3],
      deduplicated: true,
    });
  });

  test("streams the history of a coordination and then that it has caught up", async () => {
    await stored({ coordination_id: "streamed", agent_completed: COMPLETED });
    await stored({ coordination_id: "streamed", dependency_resolved: RESOLVED });
    const request = JSON.stringify({ coordination_id: "streamed", position: "START_POSITION_EARLIEST" });
    await using stream = await spawnProcess({
      command: grpcurl,
      args: ["-plaintext", "-d", request, address, SUBSCRIBE],
    });
    await stream.waitForOutput(/"caughtUp": [\s\S]*^\}/m);
    await stream.stop();
    const items = parseJsonStream(stream.stdout()) as { batch?: { signals: object[] } }[];
    expect(items[0]).toMatchObject({ subscribed: { headSequence: "2" } });
    expect(items.flatMap(({ batch }) => batch?.signals ?? [])).toMatchObject([
      { sequence: "1", agentCompleted: { resultSummary: "5 models", qualityScore: 0.95 } },
      { sequence: "2", dependencyResolved: { dependencyId: "UserModel", resolutionData: { fields: ["id", "name"] } } },
    ]);
    expect(items.at(-1)).toMatchObject({ caughtUp: { throughSequence: "2" } });
  });

  test("shows who exists when a recipient is unknown", async () => {
    await stored({ coordination_id: "directed", agent_initialized: INITIALIZED });
    const { code, stderr } = await send({
      coordination_id: "directed",
      sender_agent_id: "model-gen",
      recipient_agent_ids: ["model-gne"],
      inter_agent_message: MESSAGE,
    });
    expect(code).toBe(NOT_FOUND_EXIT_CODE);
    expect(stderr).toContain("Code: NotFound");
    expect(stderr).toContain('"@type": "type.googleapis.com/google.rpc.ErrorInfo"');
    expect(stderr).toContain('"reason": "AGENT_NOT_FOUND"');
    expect(stderr).toContain('"domain": "coordination.v1"');
    expect(stderr).toMatch(/"metadata": \{[^}]*model-gen"/);
  });

  test("shows the violations of an invalid request", async () => {
    const { code, stderr } = await send({
      coordination_id: "-bad id-",
      sender_agent_id: "model-gen",
      agent_completed: { ...COMPLETED, quality_score: 1.5 },
    });
    expect(code).toBe(INVALID_ARGUMENT_EXIT_CODE);
    expect(stderr).toContain('"reason": "INVALID_REQUEST"');
    expect(stderr).toContain('"@type": "type.googleapis.com/buf.validate.Violations"');
    expect(stderr).toContain('"coordination_id"');
    expect(stderr).toContain('"quality_score"');
  });

  test("reads the server's health", async () => {
    const { stdout } = await call(address, "grpc.health.v1.Health/Check");
    expect(JSON.parse(stdout)).toEqual({ status: "SERVING" });
  });
});
