import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { AckAction, AckMode, type AckPolicySchema } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { AgentRegistryService } from "@coordination-signals/proto/coordination/v1/agent_registry_service";
import { CoordinationService, GraphFormat } from "@coordination-signals/proto/coordination/v1/coordination_service";
import {
  DeliveryOrder,
  SignalService,
  StartPosition,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { StateService } from "@coordination-signals/proto/coordination/v1/state_service";
import { describe, expect, test } from "@jest/globals";
import { refusalFrom, refusalOf } from "../support/refusal.js";
import type { SignalInit } from "../support/sample-signals.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { startTestServer } from "../support/test-server.js";
import { openSubscription } from "../support/test-subscription.js";
import { type ConditionInit, completionOf, messageOfType, model, openWaitAs } from "../support/waiting.js";

/*
 * What the server's transform hides is in every part of every signal here, and every method is called: no answer may hold it. A
 * method that is added to the contract has to be added here.
 */

const coordinationId = "c";
const secret = "s3cr3t";
const score = 0.7312;
const earliest = { case: "position", value: StartPosition.EARLIEST } as const;
const explicit: MessageInitShape<typeof AckPolicySchema> = { mode: AckMode.EXPLICIT };
const work = { coordinationId, subscription: "work" };
const awaited: ConditionInit = {
  condition: { case: "dependency", value: { dependencyType: `${secret}.type`, dependencyId: `${secret} awaited` } },
};

function signalOf(senderAgentId: string, event: SignalInit["event"], parts: Partial<SignalInit> = {}): SignalInit {
  return { coordinationId, senderAgentId, metadata: { key: secret }, event, ...parts } as SignalInit;
}

function initialized(agentId: string): SignalInit {
  return signalOf(agentId, { case: "agentInitialized", value: { capabilities: [secret], ready: true } });
}

function message(senderAgentId: string, parts: Partial<SignalInit> = {}): SignalInit {
  const value = { messageType: "note", message: secret, payload: { token: secret } };
  return signalOf(senderAgentId, { case: "interAgentMessage", value }, parts);
}

function resolved(dependencyId: string): SignalInit {
  const value = { dependencyType: `${secret}.type`, dependencyId, resolutionData: { file: secret } };
  return signalOf("worker", { case: "dependencyResolved", value });
}

const sent: readonly SignalInit[] = [
  initialized("worker"),
  initialized("scorer"),
  initialized("responder"),
  message("worker"),
  resolved(`${secret} resolved`),
  signalOf("scorer", {
    case: "agentCompleted",
    value: { qualityScore: score, resultSummary: secret, artifactsGenerated: [secret] },
  }),
  signalOf("worker", { case: "agentCompleted", value: { error: secret, resultSummary: secret } }),
];

type Call = (client: TestClient) => Promise<unknown>;

async function all<T>(stream: AsyncIterable<T>): Promise<readonly T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** Every method by its name, in an order in which each has something to tell. */
const calls: Readonly<Record<string, Call>> = {
  SendSignal: async ({ signals }) => {
    const accepted = await signals.sendSignal(message("worker", { requestId: "again" }));
    const repeated = await signals.sendSignal(message("worker", { requestId: "again" }));
    const reused = refusalOf(signals.sendSignal({ ...resolved(secret), requestId: "again" }));
    const unknown = refusalOf(signals.sendSignal(message("worker", { recipientAgentIds: ["nobody"] })));
    return [accepted, repeated, await reused, await unknown];
  },
  BatchSendSignals: ({ signals }) => signals.batchSendSignals({ requests: [message("worker")] }),
  StreamSignals: ({ signals }) =>
    all(
      signals.streamSignals(
        (async function* () {
          yield { batch: { requests: [message("worker")] } };
        })(),
      ),
    ),
  RequestSignal: async ({ signals }) => {
    using requests = openSubscription(signals, { coordinationId, agentId: "responder" });
    await requests.until("caughtUp");
    const answer = signals.requestSignal({ request: message("worker", { recipientAgentIds: ["responder"] }) });
    const [request] = await requests.untilSignals(1);
    await signals.sendSignal(message("responder", { correlationId: request?.signalId ?? "" }));
    return [request, await answer];
  },
  Subscribe: ({ signals }) =>
    Promise.all(
      [DeliveryOrder.SEQUENCE, DeliveryOrder.PRIORITY].map(async (order) => {
        using subscription = openSubscription(signals, { coordinationId, start: earliest, order });
        await subscription.until("caughtUp");
        return subscription.items;
      }),
    ),
  GetSignalHistory: ({ signals }) => signals.getSignalHistory({ coordinationId }),
  ReplaySignals: ({ signals }) => all(signals.replaySignals({ coordinationId })),
  CreateSubscription: ({ signals }) => signals.createSubscription({ ...work, start: earliest, ackPolicy: explicit }),
  AcknowledgeSignals: async ({ signals }) => {
    using consumer = openSubscription(signals, { ...work, start: earliest, ackPolicy: explicit });
    const { value } = await consumer.until("batch");
    const acknowledgements = value.deliveries.map(({ deliveryId }) => ({ deliveryId, action: AckAction.REJECT }));
    return [value, await signals.acknowledgeSignals({ ...work, acknowledgements })];
  },
  ListDeadLetters: async ({ signals }) => {
    const { deadLetters } = await signals.listDeadLetters(work);
    expect(deadLetters.length).toBeGreaterThan(0);
    return deadLetters;
  },
  RedriveDeadLetters: ({ signals }) => signals.redriveDeadLetters({ ...work, sequences: [1n] }),
  ListSubscriptions: ({ signals }) => signals.listSubscriptions({ coordinationId }),
  GetSignalReceipts: ({ signals }) =>
    eachSequence((value) => signals.getSignalReceipts({ coordinationId, signal: { case: "sequence", value } })),
  ExplainDelivery: ({ signals }) =>
    eachSequence((sequence) =>
      Promise.all([
        signals.explainDelivery({ coordinationId, sequence, reader: { case: "agentId", value: "responder" } }),
        signals.explainDelivery({ coordinationId, sequence, reader: { case: "subscription", value: "work" } }),
      ]),
    ),
  DeleteSubscription: ({ signals }) => signals.deleteSubscription(work),
  GetSignalMetrics: ({ signals }) => signals.getSignalMetrics({ coordinationId }),
  RegisterAgent: ({ agents }) =>
    agents.registerAgent({
      coordinationId,
      agentId: "provider",
      capabilities: [secret],
      provides: [{ dependencyType: `${secret}.type`, dependencyId: secret }],
    }),
  HeartbeatAgent: ({ agents }) => agents.heartbeatAgent({ coordinationId, agentId: "provider" }),
  GetAgent: ({ agents }) => agents.getAgent({ coordinationId, agentId: "worker" }),
  ListAgents: ({ agents }) => agents.listAgents({ coordinationId }),
  DeregisterAgent: ({ agents }) => agents.deregisterAgent({ coordinationId, agentId: "provider" }),
  WaitFor: (client) =>
    Promise.all(
      [
        completionOf("worker"),
        completionOf("scorer", 0.9),
        completionOf("scorer", 0.5),
        model("nowhere", "worker"),
        messageOfType("never"),
      ].map((condition) => waitOutcome(client, condition)),
    ),
  ListCoordinations: ({ coordinations }) => coordinations.listCoordinations({}),
  GetCoordination: ({ coordinations }) => coordinations.getCoordination({ coordinationId }),
  GetWaitGraph: ({ coordinations }) =>
    Promise.all(formats.map((format) => coordinations.getWaitGraph({ coordinationId, format }).catch(refusalFrom))),
  GetTimeline: ({ coordinations }) =>
    Promise.all(formats.map((format) => coordinations.getTimeline({ coordinationId, format }).catch(refusalFrom))),
  CreateSnapshot: ({ state }) => state.createSnapshot({ coordinationId, label: "before" }),
  ListSnapshots: ({ state }) => state.listSnapshots({ coordinationId }),
  GetSnapshot: async ({ state }) => {
    const { snapshots } = await state.listSnapshots({ coordinationId });
    return state.getSnapshot({ coordinationId, snapshotId: snapshots[0]?.snapshotId ?? "" });
  },
  ListStateChanges: ({ state }) => state.listStateChanges({ coordinationId }),
  RollbackCoordination: ({ state }) => state.rollbackCoordination({ coordinationId, toSequence: BigInt(sent.length) }),
  CloseCoordination: ({ coordinations }) => coordinations.closeCoordination({ coordinationId, reason: "done" }),
  DeleteCoordination: ({ coordinations }) => coordinations.deleteCoordination({ coordinationId }),
};

const formats = [GraphFormat.MERMAID, GraphFormat.DOT, GraphFormat.CHROME_TRACE];

function eachSequence(ask: (sequence: bigint) => Promise<unknown>): Promise<unknown> {
  return Promise.all(sent.map((_, index) => ask(BigInt(index + 1))));
}

async function waitOutcome({ coordinations }: TestClient, condition: ConditionInit): Promise<unknown> {
  const timeout = { seconds: 0n, nanos: 1_000_000 };
  const request = { coordinationId, agentId: "other", conditions: [condition], timeout };
  return coordinations.waitFor(request).catch(refusalFrom);
}

function textOf(answer: unknown): string {
  return JSON.stringify(answer, (_, value) => (typeof value === "bigint" ? String(value) : value));
}

/** Makes every call while somebody waits, and the timeline once more when nobody does; names those that show a hidden text. */
async function leaks(client: TestClient, hidden: readonly string[]): Promise<readonly string[]> {
  const answers: (readonly [string, unknown])[] = [];
  await client.signals.batchSendSignals({ requests: [...sent] });
  const wait = await openWaitAs(client, coordinationId, { agentId: "waiter", conditions: [awaited] });
  for (const [name, call] of Object.entries(calls)) {
    if (name === "CreateSnapshot") {
      await client.signals.sendSignal(resolved(`${secret} awaited`));
      answers.push(["the answered wait", await wait.answer], ["its timeline", await calls["GetTimeline"]?.(client)]);
    }
    answers.push([name, await call(client)]);
  }
  return answers.flatMap(([name, answer]) => (hidden.some((text) => textOf(answer).includes(text)) ? [name] : []));
}

const texts = [
  ...["metadata.key", "capabilities", "message", "payload.token", "dependency_type", "dependency_id"],
  ...["resolution_data.file", "result_summary", "artifacts_generated", "error"],
];
const removing = { fields: [...texts, "quality_score"].map((path) => ({ path, remove: true })) };
const masking = { readMask: "senderAgentId,interAgentMessage.messageType" };

test("every method of the contract is asked", () => {
  const services = [SignalService, AgentRegistryService, CoordinationService, StateService];
  const methods = services.flatMap((service) => service.methods.map(({ name }) => name));
  expect(Object.keys(calls).sort()).toEqual(methods.sort());
});

describe("what the server's transform hides is in no answer of any method", () => {
  test("where it is redacted", async () => {
    await using server = await startTestServer(["--redact", texts.join(",")]);
    using client = grpc.connect(server.url);
    expect(await leaks(client, [secret])).toEqual([]);
  });

  test.each([
    ["where it is removed", removing],
    ["where it is not in the read mask", masking],
  ])("%s", async (_, transform) => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "transform.json");
    await writeFile(file, JSON.stringify(transform));
    await using server = await startTestServer(["--transform-file", file]);
    using client = grpc.connect(server.url);
    expect(await leaks(client, [secret, String(score)])).toEqual([]);
  });

  test("where a server without the transform has stored it before", async () => {
    await using directory = await temporaryDirectory();
    const store = ["--store", `lmdb:${directory.path}`];
    await using before = await startTestServer(store);
    using plain = grpc.connect(before.url);
    await plain.signals.batchSendSignals({ requests: [...sent] });
    await plain.state.createSnapshot({ coordinationId, label: "before" });
    plain.disconnect();
    await before.stop();
    await using after = await startTestServer([...store, "--redact", texts.join(",")]);
    using client = grpc.connect(after.url);
    const names = ["GetSnapshot", "GetAgent", "GetCoordination", "WaitFor", "GetTimeline"];
    for (const name of names) expect(textOf(await calls[name]?.(client))).not.toContain(secret);
  });
});

describe("a server that hides what its state is made of", () => {
  test("decides by what was sent, and says what it keeps back", async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "transform.json");
    await writeFile(file, JSON.stringify(removing));
    await using server = await startTestServer(["--transform-file", file]);
    using client = grpc.connect(server.url);
    await client.signals.batchSendSignals({ requests: [...sent] });
    const wanted = {
      case: "dependency" as const,
      value: { dependencyType: `${secret}.type`, dependencyId: `${secret} resolved` },
    };
    expect(await waitOutcome(client, { condition: wanted })).toMatchObject({
      conditions: [{ satisfied: true, sequence: 5n }],
    });
    expect(await waitOutcome(client, completionOf("scorer", 0.7))).toMatchObject({ conditions: [{ satisfied: true }] });
    expect(await waitOutcome(client, completionOf("scorer", 0.8))).toMatchObject({
      reason: "DEPENDENCY_FAILED",
      message: 'agent "scorer" completed with quality_score [redacted], at least 0.8 is asked for',
      metadata: { quality_score: "[redacted]", min_quality_score: "0.8", agent_id: "scorer", sequence: "6" },
    });
    expect(await waitOutcome(client, completionOf("worker"))).toMatchObject({
      reason: "DEPENDENCY_FAILED",
      message: 'agent "worker" completed with an error: [redacted]',
      metadata: { error: "[redacted]", agent_id: "worker", sequence: "7" },
    });
    const { agents, dependencies } = await client.coordinations.getCoordination({ coordinationId });
    expect(agents.map(({ capabilities }) => capabilities)).toEqual(Array(3).fill(["[redacted]"]));
    expect(dependencies).toMatchObject([
      { dependencyType: "[redacted]", dependencyId: "[redacted]", resolvedBy: "worker", sequence: 5n },
    ]);
  });

  test("shows those who wait what they ask for, and nobody else", async () => {
    await using server = await startTestServer(["--redact", "dependency_id"]);
    using client = grpc.connect(server.url);
    await client.signals.sendSignal(initialized("worker"));
    const wait = await openWaitAs(client, coordinationId, { agentId: "waiter", conditions: [awaited] });
    const { waits } = await client.coordinations.getWaitGraph({ coordinationId });
    const dependency = { dependencyType: `${secret}.type`, dependencyId: "[redacted]" };
    expect(waits).toMatchObject([
      {
        conditions: [{ condition: { value: dependency } }],
        pendingConditions: [{ description: `dependency ${secret}.type "[redacted]"` }],
      },
    ]);
    wait.abort.abort();
    await expect(wait.answer).rejects.toThrow();
    expect(await waitOutcome(client, awaited)).toMatchObject({
      reason: "WAIT_TIMEOUT",
      metadata: { missing_0: `dependency ${secret}.type "${secret} awaited"` },
    });
  });

  test("hides who resolved a dependency, and nothing else of it", async () => {
    await using server = await startTestServer(["--redact", "resolved_by"]);
    using client = grpc.connect(server.url);
    await client.signals.sendSignal(resolved("model"));
    const { dependencies } = await client.coordinations.getCoordination({ coordinationId });
    expect(dependencies).toMatchObject([
      { dependencyType: `${secret}.type`, dependencyId: "model", resolvedBy: "[redacted]" },
    ]);
  });

  test("shows as it is what it does not hide", async () => {
    await using server = await startTestServer(["--redact", "payload.token"]);
    using client = grpc.connect(server.url);
    await client.signals.batchSendSignals({ requests: [...sent] });
    expect(await waitOutcome(client, completionOf("worker"))).toMatchObject({ metadata: { error: secret } });
    expect((await client.agents.getAgent({ coordinationId, agentId: "worker" })).agent?.capabilities).toEqual([secret]);
    const { dependencies } = await client.coordinations.getCoordination({ coordinationId });
    expect(dependencies).toMatchObject([{ dependencyType: `${secret}.type`, dependencyId: `${secret} resolved` }]);
  });
});
