import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import { afterAll, beforeEach, describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { refusalFrom, refusalOf } from "../support/refusal.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { openTestPostgres, queryOnce } from "../support/test-postgres.js";
import { checkRangesJoin, openSubscription, type TestSubscription } from "../support/test-subscription.js";

const postgres = await openTestPostgres({ ownServer: true });
const cluster = postgres?.cluster;

afterAll(async () => postgres?.[Symbol.asyncDispose]());

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const numbersTo = (last: number): bigint[] => range(last).map((index) => BigInt(index + 1));
const fromStart = { coordinationId: "c", start: { case: "afterSequence" as const, value: 0n } };

/** A server in a process of its own, and a client of it. */
interface Replica {
  readonly server: SpawnedServer;
  readonly client: TestClient;
}

/** Servers on one database. Disposing of them ends them. */
interface Replicas extends AsyncDisposable {
  at(index: number): Replica;
}

async function startReplicas(url: string, count: number): Promise<Replicas> {
  const flags = ["--store", url, "--shutdown-grace", "1s"];
  const servers = await Promise.all(range(count).map(() => spawnServer(flags)));
  const replicas = servers.map((server) => ({ server, client: grpc.connect(server.url) }));
  return {
    at: (index) => {
      const replica = replicas[index];
      if (replica === undefined) throw new Error(`there is no replica ${index}`);
      return replica;
    },
    [Symbol.asyncDispose]: async () => {
      for (const { client } of replicas) client.disconnect();
      await Promise.all(servers.map((server) => server.stop()));
    },
  };
}

/** Sends one signal that tells its number, and repeats it, to whichever server answers, until it is stored. */
async function sendSurely(replicas: readonly Replica[], sender: number, number: number): Promise<bigint> {
  let attempt = sender;
  return eventually(async () => {
    const { client } = replicas[attempt++ % replicas.length] ?? {};
    const sent = await client?.signals.sendSignal(
      {
        coordinationId: "c",
        senderAgentId: `sender-${sender}`,
        requestId: `${sender}-${number}`,
        event: { case: "interAgentMessage", value: { message: `${number}` } },
      },
      { timeoutMs: 3_000 },
    );
    return sent?.sequence ?? 0n;
  });
}

/** Resolves when a server, and its database, answer. */
function answers({ client }: Replica): Promise<unknown> {
  return client.coordinations.listCoordinations({}, { timeoutMs: 2_000 });
}

/** Reads on from where the last subscription ended, on the next server, as the SDK does. */
async function readAcross(replicas: readonly Replica[], first: number, count: number): Promise<CoordinationSignal[]> {
  const signals: CoordinationSignal[] = [];
  const items: TestSubscription["items"][number][] = [];
  let cursor: string | undefined;
  for (let at = first; signals.length < count; at++) {
    const client = replicas[at % replicas.length]?.client;
    if (client === undefined) continue;
    const start = cursor === undefined ? fromStart.start : { case: "cursor" as const, value: cursor };
    using subscription = openSubscription(client.signals, { coordinationId: "c", start }, { timeoutMs: 4_000 });
    try {
      while (signals.length + subscription.signals.length < count) {
        const item = await subscription.next();
        if (item.case !== undefined) cursor = item.value.cursor;
      }
    } catch (error) {
      // Only what ends with the server or the database is gone on from.
      const { code } = refusalFrom(error);
      if (!["Unavailable", "DeadlineExceeded", "Canceled", "Aborted", "Internal"].includes(code)) throw error;
      await eventually(() => Promise.any(replicas.map((replica) => answers(replica))));
    }
    signals.push(...subscription.signals);
    items.push(...subscription.items);
  }
  checkRangesJoin(items.filter(({ case: kind }) => kind !== "subscribed"));
  return signals;
}

(cluster === undefined ? describe.skip : describe)("servers on one database", () => {
  let url: string;

  beforeEach(async () => {
    url = (await postgres?.createDatabase()) ?? "";
  });

  test("carry signals, registrations and counts to each other", async () => {
    await using replicas = await startReplicas(url, 2);
    const [a, b] = [replicas.at(0).client, replicas.at(1).client];
    using subscription = openSubscription(b.signals, { ...fromStart, agentId: "reader" });
    await subscription.until("subscribed");
    await a.agents.registerAgent({ coordinationId: "c", agentId: "reader", capabilities: ["reading"] });
    const event = { case: "agentInitialized" as const, value: { ready: true } };
    await a.signals.sendSignal({ coordinationId: "c", senderAgentId: "sender", recipientAgentIds: ["reader"], event });
    const [signal] = await subscription.untilSignals(1);
    expect(signal).toMatchObject({ sequence: 1n, senderAgentId: "sender", event });
    const { agents } = await b.agents.listAgents({ coordinationId: "c" });
    expect(agents.map(({ agentId }) => agentId)).toEqual(["reader", "sender"]);
    await eventually(async () => {
      for (const { signals } of [a, b]) {
        const metrics = await signals.getSignalMetrics({ coordinationId: "c" });
        expect(metrics).toMatchObject({ totalSignalsSent: 1n, totalSignalsReceived: 1n });
        expect(metrics.signalsReceivedByAgent).toEqual({ reader: 1n });
      }
    });
  });

  test("end streams on each other with the coordination", async () => {
    await using replicas = await startReplicas(url, 2);
    const [a, b] = [replicas.at(0).client, replicas.at(1).client];
    const send = (coordinationId: string) =>
      a.signals.sendSignal({ coordinationId, senderAgentId: "s", event: { case: "interAgentMessage", value: {} } });
    for (const id of ["closed", "deleted"]) await send(id);
    using closed = openSubscription(b.signals, { coordinationId: "closed" });
    using deleted = openSubscription(b.signals, { coordinationId: "deleted" });
    await Promise.all([closed.until("caughtUp"), deleted.until("caughtUp")]);
    await a.coordinations.closeCoordination({ coordinationId: "closed" });
    await a.coordinations.deleteCoordination({ coordinationId: "deleted" });
    expect(await closed.untilEnd()).toBeUndefined();
    expect(refusalFrom(await deleted.untilEnd()).reason).toBe("COORDINATION_NOT_FOUND");
    expect((await refusalOf(b.coordinations.getCoordination({ coordinationId: "deleted" }))).reason).toBe(
      "COORDINATION_NOT_FOUND",
    );
  });

  test("lose and double nothing when one is killed, one is paused and the database crashes under load", async () => {
    await using servers = await startReplicas(url, 3);
    const replicas = range(3).map((index) => servers.at(index));
    const [senders, rounds] = [6, 60];
    const total = senders * rounds;
    let answered = 0;
    const reach = (share: number) => eventually(() => expect(answered).toBeGreaterThanOrEqual(total * share));
    const sending = range(senders).map(async (sender) => {
      const own: bigint[] = [];
      for (const number of range(rounds)) {
        own.push(await sendSurely(replicas, sender, number));
        answered += 1;
      }
      return own;
    });
    const reading = [0, 1, 2].map((first) => readAcross(replicas, first, total));
    const disturbing = (async () => {
      await reach(0.15);
      replicas[1]?.server.kill("SIGSTOP");
      await reach(0.4);
      replicas[1]?.server.kill("SIGCONT");
      await reach(0.5);
      replicas[2]?.server.kill("SIGKILL");
      await reach(0.7);
      await cluster?.stop("immediate");
      await cluster?.start();
    })();
    const [stored] = await Promise.all([Promise.all(sending), disturbing]);
    expect(stored.flat().sort((x, y) => Number(x - y))).toEqual(numbersTo(total));
    for (const own of stored) expect(own).toEqual([...own].sort((x, y) => Number(x - y)));
    for (const read of await Promise.all(reading)) {
      expect(read.map(({ sequence }) => sequence)).toEqual(numbersTo(total));
      expect(new Set(read.map(({ requestId }) => requestId)).size).toBe(total);
    }
  });

  test("that were paused while others went on write nothing on what they knew", async () => {
    await using replicas = await startReplicas(url, 2);
    const [a, b] = [replicas.at(0), replicas.at(1)];
    const event = { case: "interAgentMessage" as const, value: {} };
    const send = ({ client }: Replica, requestId: string) =>
      client.signals.sendSignal({ coordinationId: "c", senderAgentId: "s", requestId, event });
    await send(a, "1");
    await send(b, "2");
    b.server.kill("SIGSTOP");
    const late = [send(b, "3"), send(b, "late")];
    for (const requestId of ["3", "4", "5"]) await send(a, requestId);
    b.server.kill("SIGCONT");
    expect(await Promise.all(late)).toMatchObject([
      { sequence: 3n, deduplicated: true },
      { sequence: 6n, deduplicated: false },
    ]);
    using subscription = openSubscription(b.client.signals, fromStart);
    const read = await subscription.untilSignals(6);
    expect(read.map(({ requestId }) => requestId)).toEqual(["1", "2", "3", "4", "5", "late"]);
  });

  test("do without one that is paused in the middle of keeping the others away", async () => {
    await using replicas = await startReplicas(url, 2);
    const all = [replicas.at(0), replicas.at(1)];
    await sendSurely(all, 0, 0);
    // Enough to make both fight for the coordination, so that one of them is likely to hold it when it is paused.
    const before = range(8).map((sender) => sendSurely(all, sender + 1, 0));
    replicas.at(1).server.kill("SIGSTOP");
    const after = range(8).map((sender) => sendSurely([replicas.at(0)], sender + 20, 0));
    await Promise.all(after);
    replicas.at(1).server.kill("SIGCONT");
    const sequences = await Promise.all([...before, ...after]);
    expect(new Set(sequences).size).toBe(16);
    const { headSequence } = await replicas.at(0).client.signals.getSignalMetrics({ coordinationId: "c" });
    expect(headSequence).toBe(17n);
  });

  test("stop when the database holds damage", async () => {
    await using replicas = await startReplicas(url, 1);
    const { client, server } = replicas.at(0);
    const event = { case: "interAgentMessage" as const, value: {} };
    await client.signals.sendSignal({ coordinationId: "c", senderAgentId: "s", event });
    await queryOnce(url, "UPDATE coordination_signals.signals SET checksum = checksum # 1");
    const refusal = await refusalOf(client.signals.getSignalHistory({ coordinationId: "c" }));
    expect(refusal).toMatchObject({ code: "DataLoss", reason: "STORE_CORRUPT" });
    expect(await server.exited).toMatchObject({ code: 1 });
    expect(server.stderr()).toMatch(/coordination-server: fatal: signal 1 of "c" is damaged/);
  });
});
