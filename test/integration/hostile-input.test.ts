import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { InterAgentMessageSchema, SignalFilterSchema } from "@coordination-signals/proto/coordination/v1/signal";
import {
  BatchSendSignalsRequestSchema,
  GetSignalHistoryRequestSchema,
  SendSignalRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { refusalFromStatus, refusalOf } from "../support/refusal.js";
import { newCoordinationId, note, type SignalInit } from "../support/sample-signals.js";
import { serverForAll } from "../support/server-for-all.js";
import { connectJson, grpc, protocols, type TestClient } from "../support/test-client.js";

const unknownField = { no: 12_345, wireType: WireType.Varint, data: new BinaryWriter().uint32(1).finish() };

const goodIds = [
  ["constructor", "constructor"],
  ["hasOwnProperty", "hasOwnProperty"],
  ["a path", "a/../b"],
  ["all signs", "A:b/c.d_e-f"],
  ["one digit", "0"],
  ["200 letters", "x".repeat(200)],
] as const;

const badIds = [
  ["nothing", ""],
  ["__proto__", "__proto__"],
  ["a path upwards", "../etc"],
  ["two words", "a b"],
  ["an umlaut", "ä"],
  ["a line break at the end", "a\n"],
  ["a NUL at the end", "a\u0000"],
  ["a dash at the start", "-a"],
  ["a percent sign", "a%2F"],
  ["a direction override", "a\u202eb"],
  ["201 letters", "x".repeat(201)],
] as const;

const hostileTexts = [
  "__proto__",
  "constructor",
  "toString",
  "\u0000\u0001\u007f",
  "\r\n\t",
  'quote " and \\ backslash',
  "日本語 🚀 e\u0301 \u202e",
  "%00%0a{{x}}<script>",
  "x".repeat(200),
];
describe.each(protocols)("hostile input by $name", ({ connect }) => {
  let client: TestClient;
  serverForAll((started) => {
    client = started;
  }, connect);

  const send = (signal: SignalInit) => client.signals.sendSignal(signal);
  const onlySignal = async (coordinationId: string) =>
    (await client.signals.getSignalHistory({ coordinationId })).signals[0];

  describe("sizes", () => {
    test("refuses a message of 300 KB with the limit", async () => {
      const coordinationId = newCoordinationId();
      expect(await refusalOf(send(note(coordinationId, "x".repeat(300_000))))).toMatchObject({
        code: "InvalidArgument",
        reason: "SIGNAL_TOO_LARGE",
        domain: "coordination.v1",
        message: expect.stringMatching(/^signal is 300\d{3} bytes, limit is 262144$/),
        metadata: { limit_bytes: "262144" },
      });
      expect(await refusalOf(onlySignal(coordinationId))).toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
    });

    test("takes and gives back a message of 255 KiB", async () => {
      const coordinationId = newCoordinationId();
      const message = "ü".repeat((255 * 1024) / 2);
      await send(note(coordinationId, message));
      const signal = await onlySignal(coordinationId);
      expect(signal?.event.case === "interAgentMessage" && signal.event.value.message === message).toBe(true);
    });

    test("refuses one large signal of a batch and stores its neighbours", async () => {
      const coordinationId = newCoordinationId();
      const requests = [
        note(coordinationId, "1"),
        note(coordinationId, "x".repeat(300_000)),
        note(coordinationId, "2"),
      ];
      const { results } = await client.signals.batchSendSignals({ requests });
      expect(results.map(({ result }) => result.case)).toEqual(["response", "error", "response"]);
    });

    test("refuses a request beyond 4 MiB and takes one below", async () => {
      const coordinationId = newCoordinationId();
      const batchOf = (count: number) =>
        Array.from({ length: count }, (_, index) => note(coordinationId, `${index}`.padEnd(250_000)));
      expect(await refusalOf(client.signals.batchSendSignals({ requests: batchOf(17) }))).toMatchObject({
        code: "ResourceExhausted",
        reason: "REQUEST_TOO_LARGE",
        domain: "coordination.v1",
        retryDelayMs: undefined,
        message: expect.stringContaining("limit is 4194304"),
      });
      const { results } = await client.signals.batchSendSignals({ requests: batchOf(16) });
      expect(results.every(({ result }) => result.case === "response")).toBe(true);
    });

    test("cuts a page of history before the largest response that clients take", async () => {
      const coordinationId = newCoordinationId();
      for (let sent = 0; sent < 10; sent += 1) await send(note(coordinationId, "x".repeat(250_000)));
      const seen: bigint[] = [];
      let pageToken = "";
      do {
        const page = await client.signals.getSignalHistory({ coordinationId, pageToken, pageSize: 1000 });
        expect(page.signals.length).toBeLessThanOrEqual(4);
        seen.push(...page.signals.map(({ sequence }) => sequence));
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      expect(seen).toEqual([10n, 9n, 8n, 7n, 6n, 5n, 4n, 3n, 2n, 1n]);
    });
  });

  describe("nesting", () => {
    test("takes a payload of 30 levels of objects or arrays and gives it back", async () => {
      for (const nest of [inObject, inArray]) {
        const coordinationId = newCoordinationId();
        const payload = { root: nested(29, nest) };
        await send(message(coordinationId, payload));
        const signal = await onlySignal(coordinationId);
        expect(signal?.event.case === "interAgentMessage" && signal.event.value.payload).toEqual(payload);
      }
    });

    test("refuses 31 levels", async () => {
      for (const nest of [inObject, inArray]) {
        const refused = await refusalOf(send(message(newCoordinationId(), { root: nested(30, nest) })));
        expect(refused).toMatchObject({
          code: "InvalidArgument",
          reason: "INVALID_REQUEST",
          message: "payload is nested deeper than 30 levels",
        });
      }
    });

    test("refuses one deep signal of a batch and stores its neighbours", async () => {
      const coordinationId = newCoordinationId();
      const deep = message(coordinationId, { root: nested(30, inObject) });
      const { results } = await client.signals.batchSendSignals({
        requests: [note(coordinationId), deep, note(coordinationId)],
      });
      expect(results.map(({ result }) => result.case)).toEqual(["response", "error", "response"]);
    });
  });

  describe("texts and names", () => {
    test("keeps metadata, payload and texts of any characters as they are", async () => {
      const coordinationId = newCoordinationId();
      const metadata = Object.fromEntries(hostileTexts.map((text) => [text, text]));
      const payload: JsonObject = Object.fromEntries(hostileTexts.map((text) => [text, [text, { [text]: null }]]));
      const event = {
        case: "interAgentMessage",
        value: { messageType: "é", message: hostileTexts.join("|"), payload },
      } as const;
      await send({ coordinationId, senderAgentId: "a", correlationId: "ünïcode\n", metadata, event });
      const signal = await onlySignal(coordinationId);
      const value = signal?.event.case === "interAgentMessage" ? signal.event.value : undefined;
      expect(new Map(Object.entries(signal?.metadata ?? {}))).toEqual(new Map(Object.entries(metadata)));
      expect(value?.message).toBe(hostileTexts.join("|"));
      expect(new Map(Object.entries(value?.payload ?? {}))).toEqual(new Map(Object.entries(payload)));
      expect(signal?.correlationId).toBe("ünïcode\n");
      const filter = { metadata: { constructor: "constructor" } };
      expect((await client.signals.getSignalHistory({ coordinationId, filter })).signals).toHaveLength(1);
      const other = { metadata: { toString: "x" } };
      expect((await client.signals.getSignalHistory({ coordinationId, filter: other })).signals).toHaveLength(0);
    });

    test("names at most 16 of 300 violations", async () => {
      const recipientAgentIds = Array.from({ length: 300 }, (_, index) => `no good ${index}`);
      const refused = await refusalOf(send(note(newCoordinationId(), "", { recipientAgentIds })));
      expect(refused).toMatchObject({ code: "InvalidArgument", reason: "INVALID_REQUEST" });
      expect(refused.violatedFields).toHaveLength(16);
    });

    test("refuses keys of metadata that are too long without repeating them", async () => {
      const metadata = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`${index}`.padEnd(50_000), ""]));
      const refused = await refusalOf(send(note(newCoordinationId(), "", { metadata })));
      expect(refused).toMatchObject({ code: "InvalidArgument", reason: "INVALID_REQUEST" });
      expect(refused.violatedFields).toEqual(Array.from({ length: 16 }, () => "metadata"));
      expect(refused.message.length).toBeLessThanOrEqual(1024);
      expect(refused.metadata["field"]?.length).toBeLessThanOrEqual(300);
    });

    test("names the known agents nearest to an unknown recipient, however long their names", async () => {
      const coordinationId = newCoordinationId();
      const names = Array.from({ length: 20 }, (_, index) => `agent-${String(index).padStart(194, "0")}`);
      await Promise.all(names.map((agentId) => client.agents.registerAgent({ coordinationId, agentId })));
      const recipient = `${names[7]?.slice(0, -1)}X`;
      const refused = await refusalOf(send(note(coordinationId, "", { recipientAgentIds: [recipient] })));
      expect(refused).toMatchObject({ code: "NotFound", reason: "AGENT_NOT_FOUND", domain: "coordination.v1" });
      expect(refused.metadata["known_agents"]?.split(",")).toContain(names[7]);
      expect(refused.metadata["live_agents"]?.split(",")).toContain(names[7]);
    });
  });
});

// Names are checked in one place, whatever the protocol.
describe.each([grpc, connectJson])("names by $name", ({ connect }) => {
  let client: TestClient;
  serverForAll((started) => {
    client = started;
  }, connect);

  test.each(goodIds)("serves a coordination and agents named %s", async (_name, id) => {
    const agent = { coordinationId: id, agentId: id };
    await client.agents.registerAgent(agent);
    await client.signals.sendSignal(note(id, "hello", { senderAgentId: id, recipientAgentIds: [id] }));
    await client.signals.sendSignal({
      coordinationId: id,
      senderAgentId: id,
      event: { case: "dependencyResolved", value: { dependencyType: id, dependencyId: "__proto__" } },
    });
    expect((await client.agents.getAgent(agent)).agent?.agentId).toBe(id);
    expect(await client.signals.getSignalMetrics({ coordinationId: id })).toMatchObject({ totalSignalsSent: 2n });
    const overview = await client.coordinations.getCoordination({ coordinationId: id });
    expect(overview.dependencies).toMatchObject([{ dependencyType: id, dependencyId: "__proto__", resolvedBy: id }]);
    await client.coordinations.deleteCoordination({ coordinationId: id });
  });

  test.each(badIds)("refuses %s as a name wherever one is asked for", async (_name, id) => {
    const expected = { code: "InvalidArgument", reason: "INVALID_REQUEST", domain: "coordination.v1" };
    const [coordinationId, agentId] = [newCoordinationId(), "a"];
    expect(await refusalOf(client.signals.sendSignal(note(id)))).toMatchObject({
      ...expected,
      metadata: { field: "coordination_id" },
    });
    const sender = await refusalOf(client.signals.sendSignal(note(coordinationId, "", { senderAgentId: id })));
    expect(sender).toMatchObject({ ...expected, metadata: { field: "sender_agent_id" } });
    const recipient = await refusalOf(client.signals.sendSignal(note(coordinationId, "", { recipientAgentIds: [id] })));
    expect(recipient).toMatchObject({ ...expected, metadata: { field: "recipient_agent_ids[0]" } });
    expect(await refusalOf(client.agents.registerAgent({ coordinationId, agentId: id }))).toMatchObject(expected);
    expect(await refusalOf(client.agents.listAgents({ coordinationId: id }))).toMatchObject(expected);
    expect(await refusalOf(client.coordinations.getCoordination({ coordinationId: id }))).toMatchObject(expected);
    expect(await refusalOf(client.agents.getAgent({ coordinationId, agentId }))).toMatchObject({
      code: "NotFound",
    });
  });
});

// What a typed client writes as JSON cannot hold a field that it does not know; raw-requests.test.ts does.
const binaryProtocols = protocols.filter(({ isBinary }) => isBinary);

describe.each(binaryProtocols)("fields that the server does not know by $name", ({ connect }) => {
  let client: TestClient;
  serverForAll((started) => {
    client = started;
  }, connect);

  const expected = {
    code: "InvalidArgument",
    reason: "INVALID_REQUEST",
    message: expect.stringContaining("12345"),
    metadata: { field_number: "12345" },
  };

  test("refuses one in a request", async () => {
    const request = create(SendSignalRequestSchema, note(newCoordinationId()));
    request.$unknown = [unknownField];
    expect(await refusalOf(client.signals.sendSignal(request))).toMatchObject(expected);
  });

  test("refuses one in a filter, which would match more than was meant", async () => {
    const coordinationId = newCoordinationId();
    await client.signals.sendSignal(note(coordinationId));
    const filter = create(SignalFilterSchema, { senderAgentIds: ["sender"] });
    filter.$unknown = [unknownField];
    const request = create(GetSignalHistoryRequestSchema, { coordinationId, filter });
    expect(await refusalOf(client.signals.getSignalHistory(request))).toMatchObject({
      ...expected,
      reason: "INVALID_FILTER",
    });
  });

  test("refuses one in an event", async () => {
    const value = create(InterAgentMessageSchema, { message: "hello" });
    value.$unknown = [unknownField];
    const event = { case: "interAgentMessage", value } as const;
    const coordinationId = newCoordinationId();
    expect(await refusalOf(client.signals.sendSignal({ coordinationId, senderAgentId: "a", event }))).toMatchObject(
      expected,
    );
  });

  test("refuses only the signal of a batch that has one", async () => {
    const coordinationId = newCoordinationId();
    const strange = create(SendSignalRequestSchema, note(coordinationId));
    strange.$unknown = [unknownField];
    const requests = [note(coordinationId), strange, note(coordinationId)];
    const { results } = await client.signals.batchSendSignals({ requests });
    expect(results.map(({ result }) => result.case)).toEqual(["response", "error", "response"]);
    const refused = results[1]?.result;
    expect(refused?.case === "error" && refusalFromStatus(refused.value)).toMatchObject(expected);
    const batch = create(BatchSendSignalsRequestSchema, { requests: [note(coordinationId)] });
    batch.$unknown = [unknownField];
    expect(await refusalOf(client.signals.batchSendSignals(batch))).toMatchObject(expected);
  });
});

function message(coordinationId: string, payload: JsonObject): SignalInit {
  return { coordinationId, senderAgentId: "a", event: { case: "interAgentMessage", value: { payload } } };
}

function inObject(value: JsonValue): JsonValue {
  return { k: value };
}

function inArray(value: JsonValue): JsonValue {
  return [value];
}

/** `levels` containers around nothing. */
function nested(levels: number, nest: (value: JsonValue) => JsonValue): JsonValue {
  let value: JsonValue = nest === inArray ? [] : {};
  for (let level = 1; level < levels; level += 1) value = nest(value);
  return value;
}
