import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, type HandlerContext } from "@connectrpc/connect";
import { AgentSchema } from "@coordination-signals/proto/coordination/v1/agent";
import type {
  HeartbeatAgentRequest,
  ListAgentsRequest,
  RegisterAgentRequest,
} from "@coordination-signals/proto/coordination/v1/agent_registry_service";
import { describe, expect, test } from "@jest/globals";
import { AgentState, type HeartbeatStatus, NotFoundError } from "../../../../client-sdk/src/index.js";
import { contractError } from "../support/contract-errors.js";
import { createLatch } from "../support/latch.js";
import { ManualClock } from "../support/manual-clock.js";
import { connectScripted } from "../support/scripted-client.js";
import { clientLeft, type Script } from "../support/scripted-server.js";

const agent = create(AgentSchema, { agentId: "agent", state: AgentState.READY, lease: durationFromMs(3_000) });
const notFound = () => contractError({ code: Code.NotFound, reason: "AGENT_NOT_FOUND" });

/** A registry that takes everything; `beat` answers heartbeats. */
function registry(beat: (request: HeartbeatAgentRequest) => void = () => undefined): Script {
  return {
    registry: {
      registerAgent: () => ({ agent }),
      heartbeatAgent: (request) => {
        beat(request);
        return { agent };
      },
      deregisterAgent: () => ({}),
    },
  };
}

describe("CoordinationSession.register", () => {
  test("asks for what its options say and answers the agent", async () => {
    const requests: RegisterAgentRequest[] = [];
    const registerAgent = (request: RegisterAgentRequest) => {
      requests.push(request);
      return { agent };
    };
    await using scripted = await connectScripted({ registry: { registerAgent } });
    const registered = await scripted.session.register({
      capabilities: ["typescript"],
      provides: [{ dependencyType: "model", dependencyId: "*" }],
      metadata: { host: "here" },
      leaseMs: 1_500,
      heartbeat: false,
    });
    expect(registered).toMatchObject({ agentId: "agent", state: AgentState.READY });
    await scripted.session.register({ heartbeat: false });
    expect(requests).toMatchObject([
      {
        coordinationId: "c",
        agentId: "agent",
        capabilities: ["typescript"],
        provides: [{ dependencyType: "model", dependencyId: "*" }],
        metadata: { host: "here" },
        lease: { seconds: 1n, nanos: 500_000_000 },
      },
      { capabilities: [], provides: [], metadata: {} },
    ]);
    expect(requests[1]?.lease).toBeUndefined();
  });

  test("sends a heartbeat each third of the lease", async () => {
    const clock = new ManualClock();
    let beats = 0;
    await using scripted = await connectScripted(
      registry(() => {
        beats += 1;
      }),
      { clock },
    );
    const renewed: HeartbeatStatus[] = [];
    await scripted.session.register({ onHeartbeat: (status) => renewed.push(status) });
    expect(scripted.session.heartbeatStatus).toBeUndefined();
    for (let beat = 1; beat <= 3; beat += 1) {
      await clock.timerStarted(1_000);
      expect(beats).toBe(beat - 1);
      clock.advance(1_000);
    }
    await clock.timerStarted(1_000);
    expect(renewed.map(({ type }) => type)).toEqual(["renewed", "renewed", "renewed"]);
    expect(scripted.session.heartbeatStatus).toMatchObject({ type: "renewed", agent: { agentId: "agent" } });
  });

  test("reports a heartbeat that fails, and goes on", async () => {
    const clock = new ManualClock();
    const failing = registry(() => {
      throw contractError({ code: Code.Internal, reason: "INTERNAL" });
    });
    await using scripted = await connectScripted(failing, { clock });
    const reported = createLatch<HeartbeatStatus>();
    await scripted.session.register({ onHeartbeat: reported.open });
    clock.advance(1_000);
    expect(await reported.promise).toMatchObject({ type: "failed", error: { reason: "INTERNAL" } });
    expect(clock.delaysMs()).toEqual([1_000]);
  });

  test("stops its heartbeats when the agent is not registered any more", async () => {
    const clock = new ManualClock();
    const failing = registry(() => {
      throw notFound();
    });
    await using scripted = await connectScripted(failing, { clock });
    const reported = createLatch<HeartbeatStatus>();
    await scripted.session.register({ onHeartbeat: reported.open });
    clock.advance(1_000);
    expect(await reported.promise).toMatchObject({ type: "lost", error: { reason: "AGENT_NOT_FOUND" } });
    expect(clock.delaysMs()).toEqual([]);
    expect(scripted.session.heartbeatStatus?.type).toBe("lost");
  });

  test("once more replaces the heartbeats", async () => {
    const clock = new ManualClock();
    await using scripted = await connectScripted(registry(), { clock });
    await scripted.session.register();
    await scripted.session.register();
    expect(clock.delaysMs()).toEqual([1_000]);
    await scripted.session.register({ heartbeat: false });
    expect(clock.delaysMs()).toEqual([]);
  });

  test("takes a lease of a minute for granted when the server names none", async () => {
    const clock = new ManualClock();
    const registerAgent = () => ({ agent: { agentId: "agent" } });
    await using scripted = await connectScripted({ registry: { registerAgent } }, { clock });
    await scripted.session.register();
    expect(clock.delaysMs()).toEqual([20_000]);
  });

  test.each<[string, "deregister" | "dispose" | "close"]>([
    ["deregister()", "deregister"],
    ["the session's disposal", "dispose"],
    ["closing the client", "close"],
  ])("stops its heartbeats with %s", async (_, end) => {
    const clock = new ManualClock();
    await using scripted = await connectScripted(registry(), { clock });
    const { session, client } = scripted;
    await session.register();
    expect(clock.delaysMs()).toEqual([1_000]);
    if (end === "deregister") await session.deregister();
    else if (end === "dispose") await session[Symbol.asyncDispose]();
    else await client.close();
    expect(clock.delaysMs()).toEqual([]);
  });

  test("cancels a heartbeat under way when it ends", async () => {
    const clock = new ManualClock();
    const [underWay, cancelled] = [createLatch(), createLatch()];
    const heartbeatAgent = async (_: HeartbeatAgentRequest, context: HandlerContext) => {
      underWay.open();
      await clientLeft(context);
      cancelled.open();
      return { agent };
    };
    const script = { registry: { registerAgent: () => ({ agent }), heartbeatAgent } };
    await using scripted = await connectScripted(script, { clock });
    const statuses: HeartbeatStatus[] = [];
    await scripted.session.register({ onHeartbeat: (status) => statuses.push(status) });
    clock.advance(1_000);
    await underWay.promise;
    await scripted.session[Symbol.asyncDispose]();
    await cancelled.promise;
    expect([statuses, clock.delaysMs()]).toEqual([[], []]);
  });

  test("begins no heartbeats for a session that was closed meanwhile", async () => {
    const clock = new ManualClock();
    const [underWay, answer] = [createLatch(), createLatch()];
    const registerAgent = async () => {
      underWay.open();
      await answer.promise;
      return { agent };
    };
    await using scripted = await connectScripted({ registry: { registerAgent } }, { clock });
    const registered = scripted.session.register();
    await underWay.promise;
    await scripted.session[Symbol.asyncDispose]();
    answer.open();
    await expect(registered).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
    expect(clock.delaysMs()).toEqual([]);
  });

  test("fails when the answer has no agent", async () => {
    await using scripted = await connectScripted({ registry: { registerAgent: () => ({}) } });
    await expect(scripted.session.register()).rejects.toMatchObject({ reason: "UNEXPECTED_RESPONSE" });
  });
});

describe("CoordinationSession.heartbeat", () => {
  test("tells the progress", async () => {
    const requests: HeartbeatAgentRequest[] = [];
    await using scripted = await connectScripted(registry((request) => requests.push(request)));
    await scripted.session.heartbeat("3 of 5 models");
    await scripted.session.heartbeat();
    expect(requests).toMatchObject([
      { coordinationId: "c", agentId: "agent", progress: "3 of 5 models" },
      { progress: "" },
    ]);
  });
});

describe("CoordinationSession.deregister", () => {
  test("has succeeded when a repeated call finds nothing", async () => {
    let calls = 0;
    const deregisterAgent = () => {
      calls += 1;
      throw calls === 1 ? contractError({ code: Code.Unavailable, reason: "SHUTTING_DOWN" }) : notFound();
    };
    await using scripted = await connectScripted({ registry: { deregisterAgent } });
    await scripted.session.deregister();
    expect(calls).toBe(2);
  });

  test("fails when the agent was not registered", async () => {
    const deregisterAgent = () => {
      throw notFound();
    };
    await using scripted = await connectScripted({ registry: { deregisterAgent } });
    await expect(scripted.session.deregister()).rejects.toThrow(NotFoundError);
  });
});

describe("CoordinationObserver.agents", () => {
  test("reads all pages, of the states asked for", async () => {
    const requests: ListAgentsRequest[] = [];
    const listAgents = (request: ListAgentsRequest) => {
      requests.push(request);
      return request.pageToken === "" ? { agents: [agent], nextPageToken: "next" } : { agents: [{ agentId: "z" }] };
    };
    await using scripted = await connectScripted({ registry: { listAgents, getAgent: () => ({ agent }) } });
    const observer = scripted.client.coordination("c");
    expect((await observer.agents({ states: ["busy", "offline"] })).map(({ agentId }) => agentId)).toEqual([
      "agent",
      "z",
    ]);
    expect(requests).toMatchObject([
      { coordinationId: "c", states: [AgentState.BUSY, AgentState.OFFLINE], pageToken: "" },
      { states: [AgentState.BUSY, AgentState.OFFLINE], pageToken: "next" },
    ]);
    expect(await observer.agent("agent")).toMatchObject({ agentId: "agent" });
  });
});
