import { durationFromMs, type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Agent, AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import { StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { refusalOf } from "../support/refusal.js";
import { newCoordinationId, note } from "../support/sample-signals.js";
import { serverForAll } from "../support/server-for-all.js";
import { connectJson, grpc, protocols, type TestClient } from "../support/test-client.js";
import { startTestServer } from "../support/test-server.js";
import { openSubscription } from "../support/test-subscription.js";

const agentId = "model-generator";

describe.each(protocols)("AgentRegistryService by $name", ({ connect }) => {
  let client: TestClient;
  serverForAll((started) => {
    client = started;
  }, connect);

  test("registers an agent with everything it says, and reads it back", async () => {
    const coordinationId = newCoordinationId();
    const said = {
      agentId,
      capabilities: ["typescript", "models"],
      provides: [{ dependencyType: "model", dependencyId: "*Model" }],
      metadata: { version: "1.2", größe: "5" },
    };
    const { agent } = await client.agents.registerAgent({ coordinationId, ...said, lease: durationFromMs(90_000) });
    expect(agent).toMatchObject({ coordinationId, ...said, state: AgentState.READY, progress: "" });
    expect(agent?.lease).toMatchObject({ seconds: 90n, nanos: 0 });
    const [registered, expires] = [milliseconds(agent?.registerTime), milliseconds(agent?.leaseExpireTime)];
    expect(expires - registered).toBe(90_000);
    expect((await client.agents.getAgent({ coordinationId, agentId })).agent).toEqual(agent);
  });

  test("renews the registration with what is given now", async () => {
    const coordinationId = newCoordinationId();
    await client.agents.registerAgent({ coordinationId, agentId, capabilities: ["old"], metadata: { a: "1" } });
    await client.agents.heartbeatAgent({ coordinationId, agentId, progress: "half done" });
    const { agent } = await client.agents.registerAgent({ coordinationId, agentId, capabilities: ["new"] });
    expect(agent).toMatchObject({ capabilities: ["new"], metadata: {}, progress: "", state: AgentState.READY });
    expect(agent?.lease).toMatchObject({ seconds: 60n });
  });

  test("takes note of progress, and only of progress that is told", async () => {
    const coordinationId = newCoordinationId();
    await client.agents.registerAgent({ coordinationId, agentId });
    const { agent: moved } = await client.agents.heartbeatAgent({ coordinationId, agentId, progress: "3 of 5" });
    expect(moved).toMatchObject({ progress: "3 of 5", state: AgentState.BUSY });
    const { agent: alive } = await client.agents.heartbeatAgent({ coordinationId, agentId });
    expect(alive).toMatchObject({ progress: "3 of 5", lastProgressTime: moved?.lastProgressTime });
    expect(milliseconds(alive?.lastHeartbeatTime)).toBeGreaterThanOrEqual(milliseconds(moved?.lastHeartbeatTime));
  });

  test("lists agents by name in pages, of the states asked for", async () => {
    const coordinationId = newCoordinationId();
    const names = Array.from({ length: 25 }, (_, index) => `agent-${String(index).padStart(2, "0")}`);
    await Promise.all(names.toReversed().map((name) => client.agents.registerAgent({ coordinationId, agentId: name })));
    await complete(client, coordinationId, "agent-03", {});
    await complete(client, coordinationId, "agent-07", { error: "no luck" });
    const pages = await readPages((pageToken) => client.agents.listAgents({ coordinationId, pageToken, pageSize: 10 }));
    expect(pages.map(({ length }) => length)).toEqual([10, 10, 5]);
    expect(pages.flat().map((agent) => agent.agentId)).toEqual(names);
    const states = [AgentState.COMPLETED, AgentState.FAILED];
    const done = await client.agents.listAgents({ coordinationId, states });
    expect(done.agents.map((agent) => [agent.agentId, agent.state])).toEqual([
      ["agent-03", AgentState.COMPLETED],
      ["agent-07", AgentState.FAILED],
    ]);
  });

  test("refuses a page token of another request or coordination, and a made-up one", async () => {
    const [coordinationId, other] = [newCoordinationId(), newCoordinationId()];
    for (const id of [coordinationId, other]) {
      for (const name of ["a", "b"]) await client.agents.registerAgent({ coordinationId: id, agentId: name });
    }
    const { nextPageToken: pageToken } = await client.agents.listAgents({ coordinationId, pageSize: 1 });
    const expected = { code: "InvalidArgument", reason: "INVALID_PAGE_TOKEN", domain: "coordination.v1" };
    const states = [AgentState.READY];
    expect(await refusalOf(client.agents.listAgents({ coordinationId, pageToken, states }))).toMatchObject(expected);
    expect(await refusalOf(client.agents.listAgents({ coordinationId: other, pageToken }))).toMatchObject(expected);
    expect(await refusalOf(client.agents.listAgents({ coordinationId, pageToken: "W10" }))).toMatchObject(expected);
    const next = await client.agents.listAgents({ coordinationId, pageToken, pageSize: 5 });
    expect(next.agents.map((agent) => agent.agentId)).toEqual(["b"]);
  });

  test("deregisters an agent, once", async () => {
    const coordinationId = newCoordinationId();
    await client.agents.registerAgent({ coordinationId, agentId });
    await client.agents.deregisterAgent({ coordinationId, agentId });
    const expected = { code: "NotFound", reason: "AGENT_NOT_FOUND", metadata: { agent_id: agentId } };
    expect(await refusalOf(client.agents.getAgent({ coordinationId, agentId }))).toMatchObject(expected);
    expect(await refusalOf(client.agents.heartbeatAgent({ coordinationId, agentId }))).toMatchObject(expected);
    expect(await refusalOf(client.agents.deregisterAgent({ coordinationId, agentId }))).toMatchObject(expected);
    expect((await client.agents.listAgents({ coordinationId })).agents).toEqual([]);
  });

  test("answers COORDINATION_NOT_FOUND for a coordination that does not exist, and makes none", async () => {
    const coordinationId = newCoordinationId();
    const expected = { code: "NotFound", reason: "COORDINATION_NOT_FOUND" };
    expect(await refusalOf(client.agents.getAgent({ coordinationId, agentId }))).toMatchObject(expected);
    expect(await refusalOf(client.agents.listAgents({ coordinationId }))).toMatchObject(expected);
    expect(await refusalOf(client.agents.heartbeatAgent({ coordinationId, agentId }))).toMatchObject(expected);
    expect(await refusalOf(client.agents.deregisterAgent({ coordinationId, agentId }))).toMatchObject(expected);
    expect(await refusalOf(client.coordinations.getCoordination({ coordinationId }))).toMatchObject(expected);
  });

  test.each([
    ["lease", { lease: durationFromMs(99) }],
    ["lease", { lease: durationFromMs(24 * 3_600_000 + 1) }],
    ["capabilities", { capabilities: [""] }],
    ["capabilities", { capabilities: Array.from({ length: 129 }, () => "x") }],
    ["provides.dependency_type", { provides: [{ dependencyType: "a b", dependencyId: "x" }] }],
  ])("refuses a registration whose %s is out of bounds", async (field, bad) => {
    const coordinationId = newCoordinationId();
    const refused = await refusalOf(client.agents.registerAgent({ coordinationId, agentId, ...bad }));
    expect(refused).toMatchObject({ code: "InvalidArgument", reason: "INVALID_REQUEST", violatedFields: [field] });
  });
});

describe.each([grpc, connectJson])("an agent's state by $name", ({ connect }) => {
  let client: TestClient;
  serverForAll((started) => {
    client = started;
  }, connect);

  const read = async (coordinationId: string): Promise<Agent> => {
    const { agent } = await client.agents.getAgent({ coordinationId, agentId });
    if (agent === undefined) throw new Error("the answer has no agent");
    return agent;
  };

  test("follows its signals: BUSY until it is ready, then READY, COMPLETED, and FAILED with an error", async () => {
    const coordinationId = newCoordinationId();
    const initialize = (ready: boolean) =>
      client.signals.sendSignal({
        coordinationId,
        senderAgentId: agentId,
        event: { case: "agentInitialized", value: { ready, capabilities: ["models"] } },
      });
    await initialize(false);
    expect(await read(coordinationId)).toMatchObject({ state: AgentState.BUSY, capabilities: ["models"] });
    await initialize(true);
    expect(await read(coordinationId)).toMatchObject({ state: AgentState.READY });
    await complete(client, coordinationId, agentId, { qualityScore: 1 });
    expect(await read(coordinationId)).toMatchObject({ state: AgentState.COMPLETED });
    await complete(client, coordinationId, agentId, { error: "it broke" });
    expect(await read(coordinationId)).toMatchObject({ state: AgentState.FAILED });
  });

  test("is OFFLINE when its lease has run out, until it is heard of", async () => {
    const coordinationId = newCoordinationId();
    await client.agents.registerAgent({ coordinationId, agentId, lease: durationFromMs(100) });
    await eventually(async () => expect((await read(coordinationId)).state).toBe(AgentState.OFFLINE));
    const offline = await client.agents.listAgents({ coordinationId, states: [AgentState.OFFLINE] });
    expect(offline.agents.map((agent) => agent.agentId)).toEqual([agentId]);
    // A lease long enough that this test cannot be slower.
    await client.agents.registerAgent({ coordinationId, agentId, lease: durationFromMs(60_000) });
    expect((await read(coordinationId)).state).toBe(AgentState.READY);
  });

  test("does not run out while a subscription of the agent is open", async () => {
    const coordinationId = newCoordinationId();
    await client.agents.registerAgent({ coordinationId, agentId, lease: durationFromMs(100) });
    using subscription = openSubscription(client.signals, { coordinationId, agentId });
    await subscription.until("caughtUp");
    const { agent } = await client.agents.getAgent({ coordinationId, agentId });
    // The lease would have run out when the clock passes what was the expiry: its end has to move with the clock.
    await eventually(async () => {
      const later = await read(coordinationId);
      expect(milliseconds(later.leaseExpireTime)).toBeGreaterThan(milliseconds(agent?.leaseExpireTime) + 200);
      expect(later.state).toBe(AgentState.READY);
    });
    subscription.cancel();
    await eventually(async () => expect((await read(coordinationId)).state).toBe(AgentState.OFFLINE));
  });

  test("an agent that sent is known to recipients' check, one that only subscribed is not", async () => {
    const coordinationId = newCoordinationId();
    await client.signals.sendSignal(note(coordinationId, "hello", { senderAgentId: "sent" }));
    using reader = openSubscription(client.signals, {
      coordinationId,
      agentId: "sentry",
      start: { case: "position", value: StartPosition.EARLIEST },
    });
    await reader.until("caughtUp");
    await client.signals.sendSignal(note(coordinationId, "to you", { recipientAgentIds: ["sent"] }));
    const refused = await refusalOf(
      client.signals.sendSignal(note(coordinationId, "to you", { recipientAgentIds: ["sentry"] })),
    );
    expect(refused).toMatchObject({
      code: "NotFound",
      reason: "AGENT_NOT_FOUND",
      metadata: { agent_id: "sentry", known_agents: "sent,sender", live_agents: "", nearest_agent: "sent" },
    });
  });
});

describe("the sender's check", () => {
  const unregistered = (coordinationId: string) => note(coordinationId, "hello", { senderAgentId: "stranger" });
  const initialized = (coordinationId: string) =>
    ({ coordinationId, senderAgentId: "stranger", event: { case: "agentInitialized", value: {} } }) as const;

  test("refuses an unregistered sender under enforce, and lets it in with AgentInitialized", async () => {
    await using server = await startTestServer(["--sender-validation", "enforce"]);
    using client = grpc.connect(server.url);
    const coordinationId = newCoordinationId();
    expect(await refusalOf(client.signals.sendSignal(unregistered(coordinationId)))).toMatchObject({
      code: "FailedPrecondition",
      reason: "AGENT_NOT_REGISTERED",
      metadata: { agent_id: "stranger" },
    });
    await client.signals.sendSignal(initialized(coordinationId));
    expect((await client.signals.sendSignal(unregistered(coordinationId))).sequence).toBe(2n);
  });

  test("warns once of an unregistered sender by default", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    const coordinationId = newCoordinationId();
    for (let sent = 0; sent < 3; sent += 1) await client.signals.sendSignal(unregistered(coordinationId));
    const warnings = server.log.filter(({ msg }) => msg === "signal from an unregistered agent");
    expect(warnings).toMatchObject([{ coordinationId, agentId: "stranger" }]);
  });

  test("lets unknown recipients pass under off, and warns under warn", async () => {
    for (const policy of ["off", "warn"]) {
      await using server = await startTestServer(["--recipient-validation", policy]);
      using client = grpc.connect(server.url);
      await client.signals.sendSignal(note(newCoordinationId(), "hello", { recipientAgentIds: ["nobody"] }));
      const warnings = server.log.filter(({ msg }) => msg === "signal to an unknown agent");
      expect(warnings).toHaveLength(policy === "warn" ? 1 : 0);
    }
  });
});

function milliseconds(timestamp: Timestamp | undefined): number {
  return timestamp === undefined ? Number.NaN : timestampMs(timestamp);
}

async function complete(
  client: TestClient,
  coordinationId: string,
  senderAgentId: string,
  value: { readonly error?: string; readonly qualityScore?: number },
): Promise<void> {
  await client.signals.sendSignal({ coordinationId, senderAgentId, event: { case: "agentCompleted", value } });
}

async function readPages(
  read: (pageToken: string) => Promise<{ readonly agents: readonly Agent[]; readonly nextPageToken: string }>,
): Promise<readonly (readonly Agent[])[]> {
  const pages: (readonly Agent[])[] = [];
  let pageToken = "";
  do {
    const { agents, nextPageToken } = await read(pageToken);
    pages.push(agents);
    pageToken = nextPageToken;
  } while (pageToken !== "");
  return pages;
}
