import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { createCoordinationClient } from "@coordination-signals/client";
import type {
  CoordinationSignal,
  SignalFilterSchema,
  SignalTransformSchema,
} from "@coordination-signals/proto/coordination/v1/signal";
import { SendSignalRequestSchema, StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { refusalOf } from "../support/refusal.js";
import { spawnProcess } from "../support/spawned-process.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { connectJson, grpc, type TestClient } from "../support/test-client.js";
import { startTestServer } from "../support/test-server.js";
import { openSubscription } from "../support/test-subscription.js";

const coordinationId = "c";
const earliest = { case: "position", value: StartPosition.EARLIEST } as const;
const secret = "s3cr3t-value";
type TransformInit = MessageInitShape<typeof SignalTransformSchema>;
type FilterInit = MessageInitShape<typeof SignalFilterSchema>;

function messageOf(payload: JsonObject, message = "hello") {
  return create(SendSignalRequestSchema, {
    coordinationId,
    senderAgentId: "parser",
    event: { case: "interAgentMessage", value: { messageType: "request", message, payload } },
  });
}

/** Everything of a coordination, by every way out. */
async function everyWayOut(client: TestClient, transform?: TransformInit, filter?: FilterInit) {
  const { signals } = client;
  const parts = { coordinationId, ...(filter && { filter }) };
  const transformed = { ...parts, ...(transform && { transform }) };
  using subscription = openSubscription(signals, { ...transformed, start: earliest });
  await subscription.until("caughtUp");
  const subscribed = subscription.items.flatMap((item) => (item.case === "batch" ? item.value.signals : []));
  const history = (await signals.getSignalHistory({ ...parts, order: 2 })).signals;
  const replayed: CoordinationSignal[] = [];
  for await (const part of signals.replaySignals(transformed)) replayed.push(...part.signals);
  return { subscribed, history, replayed };
}

const payloads = (signals: readonly CoordinationSignal[]) =>
  signals.map(({ event }) => (event.case === "interAgentMessage" ? event.value.payload : undefined));

describe.each([grpc, connectJson])("a subscriber's transform over $name", (protocol) => {
  test("holds in its subscription and its replay, and changes nothing for others", async () => {
    await using server = await startTestServer();
    using client = protocol.connect(server.url);
    await client.signals.batchSendSignals({ requests: [messageOf({ token: secret, n: 1 }), messageOf({ n: 2 })] });
    const fields = [
      { path: "payload.token", action: { case: "redact" as const, value: "***" } },
      { path: "message", action: { case: "set" as const, value: "signal.sender_agent_id + ' says hello'" } },
    ];
    const seen = await everyWayOut(client, { fields });
    for (const signals of [seen.subscribed, seen.replayed]) {
      expect(payloads(signals)).toEqual([{ token: "***", n: 1 }, { n: 2 }]);
      expect(signals.map(({ event }) => event.value)).toMatchObject([
        { message: "parser says hello" },
        { message: "parser says hello" },
      ]);
      expect(signals.map(({ sequence }) => sequence)).toEqual([1n, 2n]);
    }
    expect(payloads(seen.history)).toEqual([{ token: secret, n: 1 }, { n: 2 }]);
  });

  test("is refused when it cannot work, and nothing else ends", async () => {
    await using server = await startTestServer();
    using client = protocol.connect(server.url);
    using other = openSubscription(client.signals, { coordinationId });
    await other.until("subscribed");
    const transform = { fields: [{ path: "payload.token.x", action: { case: "set" as const, value: "signal.nope" } }] };
    using subscription = openSubscription(client.signals, { coordinationId, transform });
    expect(await refusalOf(subscription.until("subscribed"))).toMatchObject({
      code: "InvalidArgument",
      reason: "INVALID_TRANSFORM",
      metadata: { part: "fields[0].set", position: "1:7" },
    });
    const empty = { fields: [{ path: "payload" }] };
    using unset = openSubscription(client.signals, { coordinationId, transform: empty });
    expect(await refusalOf(unset.until("subscribed"))).toMatchObject({ reason: "INVALID_TRANSFORM" });
    await client.signals.sendSignal(messageOf({}));
    await other.untilSignals(1);
  });
});

test("signals that a transform makes larger are cut into answers that a client can take", async () => {
  await using server = await startTestServer();
  using client = grpc.connect(server.url);
  const blown = `[${Array(9).fill("signal.inter_agent_message.payload.x").join(", ")}]`;
  const requests = Array.from({ length: 200 }, () => messageOf({ x: "x".repeat(20_000) }));
  for (let at = 0; at < requests.length; at += 50) {
    await client.signals.batchSendSignals({ requests: requests.slice(at, at + 50) });
  }
  const transform = { fields: [{ path: "payload.copies", action: { case: "set" as const, value: blown } }] };
  const { subscribed, replayed } = await everyWayOut(client, transform);
  for (const signals of [subscribed, replayed]) {
    expect(signals.map(({ sequence }) => sequence)).toEqual(requests.map((_, index) => BigInt(index + 1)));
    expect(signals.every(({ event }) => JSON.stringify(event.value).length > 200_000)).toBe(true);
  }
});

test("an expression that is too dear for one signal ends the subscription that asked for it, and no other", async () => {
  await using server = await startTestServer();
  using client = grpc.connect(server.url);
  const items = "signal.inter_agent_message.payload.items";
  const value = `string(${items}.all(x, x in ${items}))`;
  const transform = { fields: [{ path: "message", action: { case: "set" as const, value } }] };
  using greedy = openSubscription(client.signals, { coordinationId, transform });
  using other = openSubscription(client.signals, { coordinationId });
  for (const subscription of [greedy, other]) await subscription.until("subscribed");
  await client.signals.sendSignal(messageOf({ items: Array.from({ length: 3_000 }, (_, index) => index) }));
  expect(await refusalOf(greedy.untilSignals(1))).toMatchObject({
    code: "ResourceExhausted",
    reason: "FILTER_BUDGET_EXCEEDED",
    metadata: { part: "fields[0].set", sequence: "1" },
  });
  await other.untilSignals(1);
});

describe("the server's own transform", () => {
  const attempts: readonly (TransformInit | undefined)[] = [
    undefined,
    { readMask: { paths: ["payload"] } },
    {
      fields: [{ path: "message", action: { case: "set", value: "string(signal.inter_agent_message.payload.token)" } }],
    },
    { fields: [{ path: "payload.token", action: { case: "set", value: "signal.inter_agent_message.payload.token" } }] },
  ];

  test("holds on every way out, whatever a reader asks for", async () => {
    await using server = await startTestServer(["--redact", "payload.token, metadata.`a,b.key`"]);
    using client = grpc.connect(server.url);
    await client.signals.sendSignal({ ...messageOf({ token: secret }), metadata: { "a,b.key": secret } });
    for (const transform of attempts) {
      const seen = await everyWayOut(client, transform);
      for (const signals of Object.values(seen)) {
        expect(signals).toHaveLength(1);
        expect(signals[0]?.sequence).toBe(1n);
        const text = JSON.stringify(signals, (_, value) => (typeof value === "bigint" ? String(value) : value));
        expect(text).not.toContain(secret);
      }
    }
  });

  test("hides what it hides from filters, too", async () => {
    await using server = await startTestServer(["--redact", "payload.token"]);
    using client = grpc.connect(server.url);
    await client.signals.sendSignal(messageOf({ token: secret }));
    const guess = (text: string) => ({
      expression: `signal.inter_agent_message.payload.token.startsWith('${text}')`,
    });
    const right = await everyWayOut(client, undefined, guess("s3cr"));
    expect(Object.values(right).flat()).toEqual([]);
    const redaction = await everyWayOut(client, undefined, guess("[red"));
    expect(Object.values(redaction).map(({ length }) => length)).toEqual([1, 1, 1]);
  });

  test("holds for replies, and for the filters of waits", async () => {
    await using server = await startTestServer(["--redact", "payload.token"]);
    await using sdk = createCoordinationClient({ baseUrl: server.url });
    const responder = sdk.coordination(coordinationId, { agentId: "responder" });
    await responder.initialized({ ready: true });
    await using _requests = responder.onRequest(() => ({
      messageType: "reply",
      message: "",
      payload: { token: secret },
    }));
    using client = grpc.connect(server.url);
    const request = { ...messageOf({ token: secret }), recipientAgentIds: ["responder"] };
    const answer = await client.signals.requestSignal({ request });
    expect(payloads([answer.request, answer.reply].flatMap((signal) => signal ?? []))).toEqual([
      { token: "[redacted]" },
      { token: "[redacted]" },
    ]);
    const expression = `signal.inter_agent_message.payload.token == '${secret}'`;
    const wait = {
      coordinationId,
      agentId: "responder",
      timeout: { seconds: 0n, nanos: 100_000_000 },
      conditions: [{ condition: { case: "signal" as const, value: { expression } } }],
    };
    expect(await refusalOf(client.coordinations.waitFor(wait))).toMatchObject({ reason: "WAIT_TIMEOUT" });
  });

  test("is read from a file, and goes before the reader's own", async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "transform.json");
    await writeFile(
      file,
      JSON.stringify({
        fields: [
          { path: "payload.token", remove: true },
          { path: "metadata.by", set: "'server'" },
        ],
      }),
    );
    await using server = await startTestServer(["--transform-file", file]);
    using client = grpc.connect(server.url);
    await client.signals.sendSignal(messageOf({ token: secret, n: 1 }));
    const set = { path: "message", action: { case: "set" as const, value: "signal.metadata.by" } };
    const { subscribed, history } = await everyWayOut(client, { fields: [set] });
    expect(payloads([...subscribed, ...history])).toEqual([{ n: 1 }, { n: 1 }]);
    expect(subscribed[0]?.event.value).toMatchObject({ message: "server" });
  });

  test("names keys as protobuf's JSON does in a file's mask, and as they are in its fields and expressions", async () => {
    await using directory = await temporaryDirectory();
    const transforms = [
      { readMask: "payload.apiKey" },
      { fields: [{ path: "payload.apiKey", remove: true }] },
      { fields: [{ path: "payload", set: "{'apiKey': signal.inter_agent_message.payload.apiKey}" }] },
    ];
    const seen = await Promise.all(
      transforms.map(async (transform, index) => {
        const file = join(directory.path, `${index}.json`);
        await writeFile(file, JSON.stringify(transform));
        await using server = await startTestServer(["--transform-file", file]);
        using client = grpc.connect(server.url);
        await client.signals.sendSignal(messageOf({ apiKey: "camel", api_key: "snake" }));
        return payloads((await client.signals.getSignalHistory({ coordinationId })).signals);
      }),
    );
    expect(seen).toEqual([[{ api_key: "snake" }], [{ api_key: "snake" }], [{ apiKey: "camel" }]]);
  });

  test("keeps back all that a signal says where it cannot be applied, and nobody's stream ends", async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "transform.json");
    const items = "signal.inter_agent_message.payload.items";
    const fields = [{ path: "message", set: `string(${items}.all(x, x in ${items}))` }];
    await writeFile(file, JSON.stringify({ fields }));
    await using server = await startTestServer(["--transform-file", file]);
    using client = grpc.connect(server.url);
    await client.signals.sendSignal(messageOf({ items: Array.from({ length: 3_000 }, (_, index) => index) }, secret));
    await client.signals.sendSignal(messageOf({ items: [] }));
    const seen = await everyWayOut(client);
    for (const signals of Object.values(seen)) {
      expect(signals.map(({ sequence }) => sequence)).toEqual([1n, 2n]);
      expect(signals[0]?.event).toMatchObject({ case: "interAgentMessage", value: { message: "" } });
      expect(signals[1]?.event.value).toMatchObject({ message: "true" });
    }
    const kept = server.log.filter(({ msg }) => msg.startsWith("kept a signal's content back"));
    expect(new Set(kept.map(({ sequence }) => sequence))).toEqual(new Set(["1"]));
  });

  test.each([
    ["--redact", "payload.token,sequence", "--redact cannot be used: transform fields[1].path: "],
    ["--redact", Array(33).fill("payload.token").join(), "--redact has 33 paths, limit is 32"],
    ["--transform-file", "does-not-exist.json", "--transform-file does-not-exist.json cannot be used: ENOENT"],
    ["--transform-file", "package.json", "--transform-file package.json cannot be used: cannot decode message"],
  ])("that cannot be used is one line at the start: %s %s", async (flag, value, message) => {
    const server = "server/bin/coordination-server.js";
    await using child = await spawnProcess({ args: [server, "--port", "0", "--store", "memory:", flag, value] });
    expect(await child.exited).toEqual({ code: 1, signal: null });
    expect(child.stderr().trim().split("\n")).toHaveLength(1);
    expect(child.stderr()).toContain(`coordination-server: ${message}`);
  });
});

test("the SDK's subscriptions and replays take a transform", async () => {
  await using server = await startTestServer();
  await using client = createCoordinationClient({ baseUrl: server.url });
  const session = client.coordination(coordinationId, { agentId: "parser" });
  await session.message({ messageType: "request", message: "hello", payload: { token: secret, n: 1 } });
  const observer = client.coordination(coordinationId);
  const transform = {
    readMask: ["inter_agent_message"],
    fields: [
      { path: "payload.token", redact: true },
      { path: "message", set: "signal.inter_agent_message.message + '!'" },
      { path: "message_type", remove: true },
    ],
  } as const;
  const expected = { message: "hello!", messageType: "", payload: { token: "[redacted]", n: 1 } };
  for await (const signal of observer.subscribe({ from: "earliest", transform })) {
    expect(signal.event.value).toMatchObject(expected);
    expect(signal.senderAgentId).toBe("");
    break;
  }
  for await (const signal of observer.replay({ transform })) expect(signal.event.value).toMatchObject(expected);
  const badly = () => observer.subscribe({ transform: { fields: [{ path: "message" } as never] } });
  expect(badly).toThrow('transform of "message" must have one of remove, redact, set');
});
