import { afterAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { CoordinationError } from "../../server/src/model/coordination-error.js";
import type { CoordinatorUnderTest } from "../support/coordinator-under-test.js";
import { eventually } from "../support/eventually.js";
import { openReplicas } from "../support/replicas-under-test.js";
import { openTestPostgres } from "../support/test-postgres.js";

const postgres = await openTestPostgres();

afterAll(async () => postgres?.[Symbol.asyncDispose]());

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const numbersTo = (last: number): number[] => range(last).map((index) => index + 1);
const resolved = (dependencyId: string) => ({
  event: { case: "dependencyResolved" as const, value: { dependencyType: "model", dependencyId } },
});
const registration = (agentId: string, leaseMs = 60_000) => ({
  agentId,
  capabilities: ["typescript"],
  provides: [],
  metadata: {},
  leaseMs,
});

/** Signals handed to subscribers of "c", as one server sees all servers' counts. */
const receivedAt = (replica: CoordinatorUnderTest): Promise<number> =>
  replica.coordinator.look("c", ({ session }) =>
    session.allMetrics.reduce((sum, { received }) => {
      for (const counts of received.values()) for (const count of counts) sum += count;
      return sum;
    }, 0),
  );

(postgres === undefined ? describe.skip : describe)("coordinations that servers share", () => {
  let url: string;

  beforeEach(async () => {
    url = (await postgres?.createDatabase()) ?? "";
  });

  describe("signals", () => {
    test("reach subscribers on the other server, in order and once", async () => {
      await using servers = await openReplicas(url, 2);
      const [a, b] = [servers.at(0), servers.at(1)];
      await a.send();
      const reader = b.subscribe({ start: { at: "earliest" } });
      await reader.until("caughtUp");
      for (const _ of range(20)) await a.send();
      await Promise.all(range(20).map(() => b.send()));
      expect(await reader.untilSignals(41)).toEqual(numbersTo(41));
    });

    test("are stored once however often and wherever they are sent, and looked up only when they were sent before", async () => {
      await using servers = await openReplicas(url, 2);
      const [a, b] = [servers.at(0), servers.at(1)];
      const lookUp = jest.spyOn(a.store, "findRequests");
      await a.send({ requestId: "r0" });
      for (const number of range(5)) {
        expect(await a.send({ requestId: `r${number + 1}` })).toMatchObject({ isDeduplicated: false });
      }
      expect(lookUp).not.toHaveBeenCalled();
      expect(await b.send({ requestId: "r2" })).toMatchObject({ sequence: 3n, isDeduplicated: true });
      expect(await b.send({ requestId: "r6" })).toMatchObject({ sequence: 7n, isDeduplicated: false });
      const sent = await Promise.all(["r6", "r7", "r6", "r7", "r1"].map((requestId) => a.send({ requestId })));
      expect(sent.map(({ sequence }) => sequence)).toEqual([7n, 8n, 7n, 8n, 2n]);
      expect(lookUp).toHaveBeenCalled();
      lookUp.mockClear();
      expect(await a.send({ requestId: "r8" })).toMatchObject({ sequence: 9n, isDeduplicated: false });
      expect(lookUp).not.toHaveBeenCalled();
    });

    test("of a coordination that begins on one server reach who waits for it on the other", async () => {
      await using servers = await openReplicas(url, 2);
      const reader = servers.at(1).subscribe({ start: { at: "latest" } });
      expect(await reader.until("subscribed")).toMatchObject({ epoch: "", headSequence: 0n });
      const { epoch } = await servers.at(0).send();
      expect(await reader.untilSignals(1)).toEqual([1]);
      expect(reader.items.filter(({ kind }) => kind === "subscribed")).toHaveLength(2);
      expect(reader.items).toContainEqual(expect.objectContaining({ kind: "subscribed", epoch }));
    });

    test("are found on the other server as soon as their sender has its answer", async () => {
      await using servers = await openReplicas(url, 2);
      const [a, b] = [servers.at(0), servers.at(1)];
      await b.send();
      for (const sequence of [2n, 3n, 4n]) {
        await a.send();
        expect((await b.header()).headSequence).toBe(sequence);
        expect((await b.history({ order: "newestFirst" })).entries[0]?.sequence).toBe(sequence);
        const reader = b.subscribe({ start: { at: "sequence", afterSequence: sequence } });
        expect(await reader.until("subscribed")).toMatchObject({ headSequence: sequence });
        await reader.leave();
      }
    });

    test("have sequences without a gap when three servers fight for one coordination, and all get their turn", async () => {
      await using servers = await openReplicas(url, 3);
      const reader = servers.at(0).subscribe({ start: { at: "earliest" } });
      const sequences = await Promise.all(
        servers.replicas.flatMap((replica) =>
          range(8).map(async () => {
            const own: number[] = [];
            for (const _ of range(25)) own.push(Number((await replica.send()).sequence));
            return own;
          }),
        ),
      );
      expect(sequences.flat().sort((x, y) => x - y)).toEqual(numbersTo(600));
      for (const own of sequences) expect(own).toEqual([...own].sort((x, y) => x - y));
      expect(await reader.untilSignals(600)).toEqual(numbersTo(600));
      for (const replica of servers.replicas) {
        expect(await replica.header()).toMatchObject({ headSequence: 600n, sentByType: [0, 0, 0, 0, 600] });
      }
    });

    test("of many coordinations do not wait for each other across servers", async () => {
      await using servers = await openReplicas(url, 2, { maxCoordinations: 500 });
      const ids = range(120).map((index) => `c${index}`);
      const outcomes = await Promise.all(
        servers.replicas.map((replica) =>
          replica.sendEach([...ids, ...ids].map((coordinationId) => ({ coordinationId }))),
        ),
      );
      expect(outcomes.flat().filter(({ error }) => error !== undefined)).toEqual([]);
      for (const id of ids) expect((await servers.at(0).header(id)).headSequence).toBe(4n);
    });

    test("are trimmed once, whichever server does it", async () => {
      await using servers = await openReplicas(url, 2, { retentionSignals: 300 });
      const [a, b] = [servers.at(0), servers.at(1)];
      await Promise.all(
        [a, b].map(async (replica) => {
          for (const _ of range(12)) await replica.fill(100);
        }),
      );
      await eventually(async () => {
        const { trimmedThroughSequence } = await b.header();
        expect(trimmedThroughSequence).toBeGreaterThan(1_500n);
      });
      const { entries } = await a.history();
      expect(entries.map(({ sequence }) => Number(sequence))).toEqual(range(300).map((index) => 2_101 + index));
    });
  });

  describe("requests", () => {
    test("are one signal however many servers they are sent to", async () => {
      await using servers = await openReplicas(url, 3);
      for (const round of range(5)) {
        const stored = await Promise.all(
          servers.replicas.flatMap((replica) => range(3).map(() => replica.send({ requestId: `r${round}` }))),
        );
        expect(new Set(stored.map(({ sequence }) => sequence)).size).toBe(1);
        expect(stored.filter(({ isDeduplicated }) => !isDeduplicated)).toHaveLength(1);
      }
      expect((await servers.at(1).header()).headSequence).toBe(5n);
    });

    test("that were used for something else on the other server are refused", async () => {
      await using servers = await openReplicas(url, 2);
      await servers.at(1).send();
      await servers.at(0).send({ requestId: "r" });
      await expect(servers.at(1).send({ requestId: "r", ...resolved("other") })).rejects.toMatchObject({
        reason: "REQUEST_ID_REUSED",
      });
    });

    test("with an expected sequence have one winner on all servers, and the others learn the head", async () => {
      await using servers = await openReplicas(url, 3);
      await Promise.all(servers.replicas.map((replica) => replica.send()));
      for (const round of range(5)) {
        const expectedSequence = BigInt(3 + round);
        const outcomes = await Promise.allSettled(
          servers.replicas.map((replica) => replica.send({ expectedSequence })),
        );
        expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
        const errors = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
        for (const error of errors) {
          expect(error).toMatchObject({
            reason: "SEQUENCE_CONFLICT",
            metadata: { head_sequence: String(expectedSequence + 1n) },
          });
        }
      }
    });

    test("are not refused for what this server has not heard of yet", async () => {
      await using servers = await openReplicas(url, 2);
      const [a, b] = [servers.at(0), servers.at(1)];
      await b.send();
      const { sequence } = await a.send({ senderAgentId: "newcomer" });
      await b.send({ expectedSequence: sequence, recipientAgentIds: ["newcomer"] });
      await a.coordinator.closeCoordination("c", "done");
      await a.coordinator.deleteCoordination("c");
      await a.send();
      expect(await b.send()).toMatchObject({ sequence: 2n });
    });
  });

  describe("agents and counters", () => {
    test("are known on every server at once", async () => {
      await using servers = await openReplicas(url, 2);
      const [a, b] = [servers.at(0), servers.at(1)];
      await b.send();
      await a.coordinator.agents.register("c", registration("generator"));
      expect((await b.coordinator.agents.get("c", "generator")).record.capabilities).toEqual(["typescript"]);
      await b.send({ recipientAgentIds: ["generator"] });
      await b.coordinator.agents.heartbeat("c", "generator", "half way");
      expect((await a.coordinator.agents.get("c", "generator")).record.progress).toBe("half way");
      await b.coordinator.agents.deregister("c", "generator");
      await expect(a.coordinator.agents.get("c", "generator")).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });
    });

    test("keep the lease of an agent that one server hears of, on the other one too", async () => {
      await using servers = await openReplicas(url, 2);
      const [a, b] = [servers.at(0), servers.at(1)];
      await a.coordinator.agents.register("c", registration("reader", 4_000));
      const before = (await b.coordinator.agents.get("c", "reader")).record.lastHeartbeatMs;
      await a.subscribe({ agentId: "reader" }).until("subscribed");
      await eventually(async () => {
        expect((await b.coordinator.agents.get("c", "reader")).record.lastHeartbeatMs).toBeGreaterThan(before);
      });
    });

    test("of signals sent and received agree", async () => {
      await using servers = await openReplicas(url, 2);
      const [a, b] = [servers.at(0), servers.at(1)];
      await Promise.all([a.fill(10), b.fill(5)]);
      const readers = [a, b].map((replica) => replica.subscribe({ start: { at: "earliest" } }));
      for (const reader of readers) await reader.until("caughtUp");
      await eventually(async () => expect(await Promise.all([a, b].map(receivedAt))).toEqual([30, 30]));
      await a.send(resolved("User"));
      for (const reader of readers) await reader.untilSignals(16);
      const totals = await Promise.all([a, b].map(async (replica) => (await replica.header()).sentByType));
      expect(totals).toEqual([
        [0, 0, 0, 1, 15],
        [0, 0, 0, 1, 15],
      ]);
    });

    test("of a server that has gone are kept, and its successor goes on with them", async () => {
      await using first = await openReplicas(url, 2);
      const reader = first.at(1).subscribe({ start: { at: "earliest" } });
      await first.at(0).fill(3);
      await reader.untilSignals(3);
      await reader.until("caughtUp");
      await first.at(1).dispose();
      expect(await receivedAt(first.at(0))).toBe(3);
      await using second = await openReplicas(url, 1);
      const again = second.at(0).subscribe({ start: { at: "earliest" } });
      await again.until("caughtUp");
      await eventually(async () => expect(await receivedAt(first.at(0))).toBe(6));
    });
  });

  describe("what ends a coordination or its signals", () => {
    test("closing it ends subscriptions on the other server well", async () => {
      await using servers = await openReplicas(url, 2);
      const [a, b] = [servers.at(0), servers.at(1)];
      await a.fill(3);
      const reader = b.subscribe({ start: { at: "earliest" } });
      await reader.until("caughtUp");
      await a.send();
      await a.coordinator.closeCoordination("c", "done");
      await expect(b.send()).rejects.toMatchObject({ reason: "COORDINATION_CLOSED" });
      await reader.untilEnd();
      expect(reader.sequences).toEqual(numbersTo(4));
    });

    test("deleting it ends subscriptions on the other server, and it begins again with another epoch", async () => {
      await using servers = await openReplicas(url, 2);
      const [a, b] = [servers.at(0), servers.at(1)];
      const { epoch } = await a.send({ requestId: "r" });
      const reader = b.subscribe({ start: { at: "earliest" } });
      await reader.until("caughtUp");
      await a.coordinator.deleteCoordination("c");
      await expect(reader.untilEnd()).rejects.toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
      await expect(b.header()).rejects.toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
      const again = await b.send({ requestId: "r" });
      expect(again).toMatchObject({ sequence: 1n, isDeduplicated: false });
      expect(again.epoch).not.toBe(epoch);
      const cursor = { epoch, generation: 0, sequence: 1n };
      for (const replica of servers.replicas) {
        const old = replica.subscribe({ start: { at: "cursor", cursor } });
        await expect(old.next()).rejects.toMatchObject({ reason: "EPOCH_CHANGED" });
      }
    });

    test("rolling it back tells subscribers on the other server, frees requests and forgets what was resolved", async () => {
      await using servers = await openReplicas(url, 2);
      const [a, b] = [servers.at(0), servers.at(1)];
      await a.fill(4);
      await b.send({ ...resolved("User"), requestId: "r" });
      const reader = b.subscribe({ start: { at: "earliest" } });
      await reader.until("caughtUp");
      const result = await a.coordinator.rollBack("c", { toSequence: 2n, reason: "wrong", requestedBy: "me" });
      expect(result.removedSignals).toBe(3n);
      await expect(reader.untilEnd()).rejects.toMatchObject({
        reason: "ROLLED_BACK",
        metadata: { resume_after_sequence: "2" },
      });
      expect(await b.coordinator.look("c", ({ session }) => session.dependencies.size)).toBe(0);
      expect(await b.send({ ...resolved("User"), requestId: "r" })).toMatchObject({
        sequence: 6n,
        isDeduplicated: false,
      });
      const resumed = a.subscribe({ start: { at: "sequence", afterSequence: 2n } });
      expect(await resumed.untilSignals(1)).toEqual([6]);
      expect((await b.history()).entries.map(({ sequence }) => Number(sequence))).toEqual([1, 2, 6]);
    });

    test("a rollback meets sends on the other server without losing what it did not remove", async () => {
      await using servers = await openReplicas(url, 2);
      const [a, b] = [servers.at(0), servers.at(1)];
      await a.fill(10);
      const sent: bigint[] = [];
      const sending = (async () => {
        for (const _ of range(40)) sent.push((await b.send()).sequence);
      })();
      const results = [];
      for (const _ of range(4)) {
        const { headSequence } = await a.header();
        const request = { toSequence: headSequence - 1n, reason: "", requestedBy: "" };
        results.push(await a.coordinator.rollBack("c", request).catch((error: unknown) => error));
      }
      await sending;
      const header = await a.header();
      expect(header.headSequence).toBe(50n);
      const isRemoved = (sequence: bigint) =>
        header.removedRanges.some(
          ({ afterSequence, throughSequence }) => sequence > afterSequence && sequence <= throughSequence,
        );
      const kept = sent.filter((sequence) => !isRemoved(sequence));
      const history = (await b.history()).entries.map(({ sequence }) => sequence);
      expect(history.filter((sequence) => sequence > 10n)).toEqual(kept);
      for (const result of results) if (result instanceof CoordinationError) expect(result.reason).toBe("ROLLED_BACK");
    });
  });
});
