import { create, toJson } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { CoordinationSignalSchema, SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { HistoryOrder, StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { refusalFromStatus, refusalOf } from "../support/refusal.js";
import { fullEnvelope, fullEvents, newCoordinationId, note, notes } from "../support/sample-signals.js";
import { serverForAll } from "../support/server-for-all.js";
import { protocols, type TestClient } from "../support/test-client.js";
import type { TestServer } from "../support/test-server.js";
import { openSubscription } from "../support/test-subscription.js";

describe.each(protocols)("SignalService by $name", ({ connect }) => {
  let _server: TestServer;
  let client: TestClient;
  serverForAll((...started) => {
    [client, _server] = started;
  }, connect);

  const register = (coordinationId: string, agentIds: readonly string[]) =>
    Promise.all(agentIds.map((agentId) => client.agents.registerAgent({ coordinationId, agentId })));

  const history = async (coordinationId: string) =>
    (await client.signals.getSignalHistory({ coordinationId, order: HistoryOrder.OLDEST_FIRST, pageSize: 1000 }))
      .signals;

  const storedMessages = async (coordinationId: string) =>
    (await history(coordinationId)).map(({ event }) => event.case === "interAgentMessage" && event.value.message);

  describe("SendSignal", () => {
    test.each(Object.values(fullEvents))("stores and delivers $case with every field", async (event) => {
      const coordinationId = newCoordinationId();
      await register(coordinationId, fullEnvelope.recipientAgentIds);
      const beforeMs = Date.now();
      const sent = await client.signals.sendSignal({ coordinationId, ...fullEnvelope, event });
      expect(sent.signalId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(sent).toMatchObject({ sequence: 1n, deduplicated: false });
      expect(milliseconds(sent.timestamp)).toBeGreaterThanOrEqual(beforeMs);
      const { signalId, sequence, timestamp } = sent;
      const placed = { signalId, coordinationId, sequence, ...(timestamp && { timestamp }) };
      const expectedJson = toObject(create(CoordinationSignalSchema, { ...placed, ...fullEnvelope, event }));

      using subscription = openSubscription(client.signals, {
        coordinationId,
        agentId: "test-runner",
        start: { case: "position", value: StartPosition.EARLIEST },
      });
      const [delivered] = await subscription.untilSignals(1);
      const [stored] = await history(coordinationId);
      expect(toObject(delivered)).toEqual(expectedJson);
      expect(toObject(stored)).toEqual(expectedJson);
    });

    test("keeps an optional number apart from its absence", async () => {
      const coordinationId = newCoordinationId();
      for (const qualityScore of [0, undefined]) {
        await client.signals.sendSignal({
          coordinationId,
          senderAgentId: "a",
          event: { case: "agentCompleted", value: { ...(qualityScore !== undefined && { qualityScore }) } },
        });
      }
      const events = (await history(coordinationId)).map(({ event }) => event.value);
      expect(events).toMatchObject([{ qualityScore: 0, agentId: "a" }, { agentId: "a" }]);
      expect(events[1]).not.toHaveProperty("qualityScore", 0);
    });

    test("answers a repeated request_id with the first answer, and refuses other content", async () => {
      const coordinationId = newCoordinationId();
      const first = await client.signals.sendSignal(note(coordinationId, "once", { requestId: "r" }));
      const again = await client.signals.sendSignal(note(coordinationId, "once", { requestId: "r" }));
      expect(again).toEqual({ ...first, deduplicated: true });
      const other = await refusalOf(client.signals.sendSignal(note(coordinationId, "twice", { requestId: "r" })));
      expect(other).toMatchObject({
        code: "InvalidArgument",
        reason: "REQUEST_ID_REUSED",
        metadata: { sequence: "1" },
      });
      const fromAnother = await client.signals.sendSignal(
        note(coordinationId, "twice", { requestId: "r", senderAgentId: "another" }),
      );
      expect(fromAnother).toMatchObject({ sequence: 2n, deduplicated: false });
    });

    test("stores only at the expected sequence", async () => {
      const coordinationId = newCoordinationId();
      await client.signals.sendSignal(note(coordinationId, "first", { expectedSequence: 0n }));
      const late = await refusalOf(client.signals.sendSignal(note(coordinationId, "first", { expectedSequence: 0n })));
      expect(late).toMatchObject({
        code: "Aborted",
        reason: "SEQUENCE_CONFLICT",
        metadata: { expected_sequence: "0", head_sequence: "1" },
      });
      await client.signals.sendSignal(note(coordinationId, "second", { expectedSequence: 1n }));
      expect(await storedMessages(coordinationId)).toEqual(["first", "second"]);
    });

    test("gives concurrent sends consecutive sequences", async () => {
      const coordinationId = newCoordinationId();
      const sent = await Promise.all(notes(coordinationId, 50).map((signal) => client.signals.sendSignal(signal)));
      const sequences = sent.map(({ sequence }) => Number(sequence)).sort((a, b) => a - b);
      expect(sequences).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    });
  });

  describe("BatchSendSignals", () => {
    test("stores the good signals beside a bad one, in order, and says which is bad and why", async () => {
      const coordinationId = newCoordinationId();
      const [one, three] = notes(coordinationId, 2);
      const requests = [one, note(coordinationId, "2", { senderAgentId: "no good" }), three].flatMap((r) => r ?? []);
      const { results } = await client.signals.batchSendSignals({ requests });
      expect(results.map(({ result }) => result.case)).toEqual(["response", "error", "response"]);
      expect(results.flatMap(({ result }) => (result.case === "response" ? result.value.sequence : []))).toEqual([
        1n,
        2n,
      ]);
      const refused = results[1]?.result;
      if (refused?.case !== "error") throw new Error("the bad signal was stored");
      expect(refusalFromStatus(refused.value)).toMatchObject({
        code: "InvalidArgument",
        reason: "INVALID_REQUEST",
        domain: "coordination.v1",
        violatedFields: ["sender_agent_id"],
      });
      expect(await storedMessages(coordinationId)).toEqual(["1", "2"]);
    });

    test("keeps the order of each of several coordinations", async () => {
      const [a, b] = [newCoordinationId(), newCoordinationId()];
      const requests = notes(a, 20).flatMap((signal, index) => [signal, ...notes(b, 20).slice(index, index + 1)]);
      const { results } = await client.signals.batchSendSignals({ requests });
      expect(results.every(({ result }) => result.case === "response")).toBe(true);
      const expected = Array.from({ length: 20 }, (_, index) => String(index + 1));
      expect(await storedMessages(a)).toEqual(expected);
      expect(await storedMessages(b)).toEqual(expected);
    });

    test("atomic stores nothing when one signal is refused, and names it", async () => {
      const coordinationId = newCoordinationId();
      await client.signals.sendSignal(note(coordinationId, "before"));
      const requests = [...notes(coordinationId, 2), note(coordinationId, "3", { recipientAgentIds: ["nobody"] })];
      const refused = await refusalOf(client.signals.batchSendSignals({ requests, atomic: true }));
      expect(refused).toMatchObject({ code: "NotFound", reason: "AGENT_NOT_FOUND", metadata: { index: "2" } });
      const invalid = await refusalOf(
        client.signals.batchSendSignals({
          requests: [note(coordinationId), note(coordinationId, "", { senderAgentId: "no good" })],
          atomic: true,
        }),
      );
      expect(invalid).toMatchObject({
        code: "InvalidArgument",
        reason: "INVALID_REQUEST",
        metadata: { index: "1" },
        violatedFields: ["sender_agent_id"],
      });
      expect(await storedMessages(coordinationId)).toEqual(["before"]);
    });

    test("atomic stores all adjacent, and again answers the same", async () => {
      const coordinationId = newCoordinationId();
      const requests = notes(coordinationId, 5).map((signal, index) => ({ ...signal, requestId: `r${index}` }));
      const [batch] = await Promise.all([
        client.signals.batchSendSignals({ requests, atomic: true }),
        ...notes(coordinationId, 20, { senderAgentId: "other" }).map((signal) => client.signals.sendSignal(signal)),
      ]);
      const sequences = batch.results.map(({ result }) => (result.case === "response" ? result.value.sequence : 0n));
      expect(sequences.map((sequence) => sequence - (sequences[0] ?? 0n))).toEqual([0n, 1n, 2n, 3n, 4n]);
      const again = await client.signals.batchSendSignals({ requests, atomic: true });
      expect(again.results.map(({ result }) => result.value)).toMatchObject(
        sequences.map((sequence) => ({ sequence, deduplicated: true })),
      );
    });

    test("refuses an atomic batch of two coordinations", async () => {
      const [a, b] = [newCoordinationId(), newCoordinationId()];
      const refused = await refusalOf(client.signals.batchSendSignals({ requests: [note(a), note(b)], atomic: true }));
      expect(refused).toMatchObject({ reason: "INVALID_REQUEST", metadata: { index: "1" } });
      expect(await refusalOf(history(a))).toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
    });

    test("refuses an empty batch and one of 1,001", async () => {
      for (const requests of [[], notes(newCoordinationId(), 1001)]) {
        const refused = await refusalOf(client.signals.batchSendSignals({ requests }));
        expect(refused).toMatchObject({ reason: "INVALID_REQUEST", violatedFields: ["requests"] });
      }
    });
  });

  describe("GetSignalHistory", () => {
    test("reads pages newest first by default, and oldest first", async () => {
      const coordinationId = newCoordinationId();
      await client.signals.batchSendSignals({ requests: notes(coordinationId, 25) });
      const read = async (order: HistoryOrder): Promise<readonly (readonly bigint[])[]> => {
        const pages: bigint[][] = [];
        let pageToken = "";
        do {
          const page = await client.signals.getSignalHistory({ coordinationId, order, pageToken, pageSize: 10 });
          pages.push(page.signals.map(({ sequence }) => sequence));
          pageToken = page.nextPageToken;
        } while (pageToken !== "");
        return pages;
      };
      const sequences = Array.from({ length: 25 }, (_, index) => BigInt(index + 1));
      const newest = await read(HistoryOrder.UNSPECIFIED);
      expect(newest.map(({ length }) => length)).toEqual([10, 10, 5]);
      expect(newest.flat()).toEqual(sequences.toReversed());
      expect((await read(HistoryOrder.OLDEST_FIRST)).flat()).toEqual(sequences);
    });

    test("filters, and gives the last 100 when asked for nothing", async () => {
      const coordinationId = newCoordinationId();
      await client.signals.batchSendSignals({ requests: notes(coordinationId, 150) });
      await client.signals.sendSignal({
        coordinationId,
        senderAgentId: "b",
        event: { case: "agentCompleted", value: {} },
      });
      const filter = { signalTypes: [SignalType.AGENT_COMPLETED], senderAgentIds: ["b*"] };
      const filtered = await client.signals.getSignalHistory({ coordinationId, filter });
      expect(filtered.signals.map(({ sequence }) => sequence)).toEqual([151n]);
      const page = await client.signals.getSignalHistory({ coordinationId });
      expect(page.signals).toHaveLength(100);
      expect(page.signals[0]?.sequence).toBe(151n);
    });

    test("refuses a token of another request, a made-up one, and one of a log that is gone", async () => {
      const coordinationId = newCoordinationId();
      await client.signals.batchSendSignals({ requests: notes(coordinationId, 3) });
      const { nextPageToken } = await client.signals.getSignalHistory({ coordinationId, pageSize: 1 });
      const read = (pageToken: string, order = HistoryOrder.UNSPECIFIED) =>
        client.signals.getSignalHistory({ coordinationId, order, pageToken });
      const expected = { code: "InvalidArgument", reason: "INVALID_PAGE_TOKEN", domain: "coordination.v1" };
      expect(await refusalOf(read(nextPageToken, HistoryOrder.OLDEST_FIRST))).toMatchObject(expected);
      expect(await refusalOf(read("x"))).toMatchObject(expected);
      expect(await refusalOf(read("x".repeat(1025)))).toMatchObject({ ...expected, violatedFields: ["page_token"] });
      for (const place of ["-1", "2e3", "", "99999999999999999999999"]) {
        expect(await refusalOf(read(withPlace(nextPageToken, place)))).toMatchObject(expected);
      }
      await client.coordinations.deleteCoordination({ coordinationId });
      await client.signals.sendSignal(note(coordinationId));
      expect(await refusalOf(read(nextPageToken))).toMatchObject(expected);
    });
  });

  test("GetSignalMetrics counts what was sent, by type", async () => {
    const coordinationId = newCoordinationId();
    await client.signals.batchSendSignals({ requests: notes(coordinationId, 3) });
    const [sent] = (await client.signals.batchSendSignals({ requests: [initialized(coordinationId)] })).results;
    const epoch = sent?.result.case === "response" ? sent.result.value.epoch : "";
    expect(await client.signals.getSignalMetrics({ coordinationId })).toMatchObject({
      totalSignalsSent: 4n,
      totalSignalsReceived: 0n,
      signalsByType: { INTER_AGENT_MESSAGE: 3n, AGENT_INITIALIZED: 1n },
      signalsReceivedByAgent: {},
      averagePropagationMs: 0,
      activeSubscriptions: 0n,
      headSequence: 4n,
      oldestSequence: 1n,
      epoch,
    });
  });
});

function initialized(coordinationId: string) {
  return { coordinationId, senderAgentId: "a", event: { case: "agentInitialized", value: { ready: true } } } as const;
}

function toObject(signal: Parameters<typeof toJson<typeof CoordinationSignalSchema>>[1] | undefined) {
  if (signal === undefined) throw new Error("there is no signal");
  return toJson(CoordinationSignalSchema, signal) as object;
}

function milliseconds(timestamp: Timestamp | undefined): number {
  return timestamp === undefined ? Number.NaN : timestampMs(timestamp);
}

/** The token with another place: nothing signs a token, so the server has to doubt it. */
function withPlace(token: string, place: string): string {
  const parts: unknown[] = JSON.parse(Buffer.from(token, "base64url").toString());
  return Buffer.from(JSON.stringify([...parts.slice(0, -1), place])).toString("base64url");
}
