import { createClient } from "@connectrpc/connect";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "@coordination-signals/proto/grpc/health/v1/health";
import { afterAll, beforeEach, describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../server/src/model/coordination-error.js";
import type { CoordinatorUnderTest } from "../support/coordinator-under-test.js";
import { eventually } from "../support/eventually.js";
import { refusalOf } from "../support/refusal.js";
import { openReplicas } from "../support/replicas-under-test.js";
import { grpc } from "../support/test-client.js";
import { openTestPostgres, queryOnce } from "../support/test-postgres.js";
import { startTestServer } from "../support/test-server.js";
import { openSubscription } from "../support/test-subscription.js";

const postgres = await openTestPostgres({ ownServer: true });
const cluster = postgres?.cluster;

afterAll(async () => postgres?.[Symbol.asyncDispose]());

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const message = {
  coordinationId: "c",
  senderAgentId: "sender",
  event: { case: "interAgentMessage", value: {} },
} as const;

/** Sends one request as a client that repeats it until it is answered. Anything but STORE_UNAVAILABLE is a failure. */
async function sendUntilAnswered(replica: CoordinatorUnderTest, requestId: string): Promise<number> {
  return eventually(async () => {
    try {
      return Number((await replica.send({ requestId })).sequence);
    } catch (error) {
      if (error instanceof CoordinationError && error.reason === "STORE_UNAVAILABLE") throw error;
      return Number.NaN;
    }
  });
}

(cluster === undefined ? describe.skip : describe)("a database that goes away", () => {
  let url: string;

  beforeEach(async () => {
    url = (await postgres?.createDatabase()) ?? "";
  });

  /** Ends connections of the servers to the database, in whatever they are doing. */
  const terminate = (which: string): Promise<readonly unknown[]> =>
    queryOnce(
      url,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND ${which}`,
    );

  test("makes servers not serving, keeps subscribers, and serves as before when it is back", async () => {
    await using one = await startTestServer(["--store", url]);
    await using two = await startTestServer(["--store", url]);
    using client = grpc.connect(one.url);
    using other = grpc.connect(two.url);
    const health = createClient(Health, client.transport);
    const status = async () => (await health.check({})).status;
    const signals = client.signals;
    await signals.sendSignal(message);
    using subscription = openSubscription(other.signals, {
      coordinationId: "c",
      start: { case: "afterSequence", value: 0n },
    });
    await subscription.until("caughtUp");
    expect(await status()).toBe(ServingStatus.SERVING);

    await cluster?.stop("immediate");
    await eventually(async () => expect(await status()).toBe(ServingStatus.NOT_SERVING));
    const refusal = await refusalOf(signals.sendSignal({ ...message, requestId: "r" }));
    expect(refusal).toMatchObject({
      code: "Unavailable",
      reason: "STORE_UNAVAILABLE",
      retryDelayMs: expect.any(Number),
    });
    expect((await client.signals.getSignalMetrics({ coordinationId: "c" })).headSequence).toBe(1n);
    expect((await refusalOf(signals.getSignalHistory({ coordinationId: "c" }))).reason).toBe("STORE_UNAVAILABLE");
    expect((await refusalOf(signals.sendSignal({ ...message, coordinationId: "new" }))).reason).toBe(
      "STORE_UNAVAILABLE",
    );

    await cluster?.start();
    await eventually(async () => expect(await status()).toBe(ServingStatus.SERVING));
    const sent = await eventually(() => signals.sendSignal({ ...message, requestId: "r" }));
    expect(sent).toMatchObject({ sequence: 2n, deduplicated: false });
    expect((await subscription.untilSignals(2)).map(({ sequence }) => sequence)).toEqual([1n, 2n]);
    for (const { log } of [one, two]) {
      const told = log.map(({ msg }) => msg).filter((msg) => msg.includes("store"));
      expect(told).toEqual(
        expect.arrayContaining([
          "the store is out of reach: changes are refused until it answers",
          "the store answers again",
        ]),
      );
    }
  });

  test("loses and doubles nothing when it crashes under load", async () => {
    await using servers = await openReplicas(url, 2);
    const reader = servers.at(1).subscribe({ start: { at: "earliest" } });
    const total = 400;
    let answered = 0;
    const sending = range(8).map(async (sender) => {
      for (const round of range(total / 8)) {
        const sequence = await sendUntilAnswered(servers.at(sender % 2), `${sender}-${round}`);
        expect(sequence).toBeGreaterThan(0);
        answered += 1;
      }
    });
    const crashing = (async () => {
      for (const share of [0.25, 0.5, 0.75]) {
        await eventually(() => expect(answered).toBeGreaterThanOrEqual(total * share));
        await cluster?.stop("immediate");
        await cluster?.start();
      }
    })();
    await Promise.all([...sending, crashing]);
    // Only now the reader's server has certainly noticed that the database is back.
    expect(await sendUntilAnswered(servers.at(1), "last")).toBe(total + 1);
    expect(await reader.untilSignals(total + 1)).toEqual(range(total + 1).map((index) => index + 1));
    const requests = reader.signals.map(({ requestId }) => requestId);
    expect(new Set(requests).size).toBe(total + 1);
  });

  test("settles commits of unknown outcome by their requests", async () => {
    await using servers = await openReplicas(url, 2);
    const reader = servers.at(1).subscribe({ start: { at: "earliest" } });
    const leastRounds = 40;
    const mostRounds = 2_000;
    // Ended in the middle of it, a commit may have happened or not: nobody is told which.
    const ending = new AbortController();
    let ended = 0;
    const terminating = (async () => {
      while (!ending.signal.aborted) {
        ended += (await terminate("query LIKE '%WITH parts%' AND state = 'active'")).length;
      }
    })();
    const stored = await Promise.all(
      range(8).map(async (sender) => {
        const own: number[] = [];
        // On a quick machine it takes a while until one is found in the middle.
        for (let round = 0; round < leastRounds || (ended === 0 && round < mostRounds); round += 1) {
          own.push(await sendUntilAnswered(servers.at(sender % 2), `${sender}-${round}`));
        }
        return own;
      }),
    ).finally(() => ending.abort());
    await terminating;
    expect(ended).toBeGreaterThan(0);
    const total = stored.flat().length;
    expect(stored.flat().sort((x, y) => x - y)).toEqual(range(total).map((index) => index + 1));
    expect(await reader.untilSignals(total)).toEqual(range(total).map((index) => index + 1));
  });

  test("acknowledges nothing for which nobody waited until the standbys had it", async () => {
    await using server = await startTestServer(["--store", url]);
    using client = grpc.connect(server.url);
    const send = (number: number) => client.signals.sendSignal({ ...message, requestId: `${number}` });
    const configure = async (standbys: string) => {
      await queryOnce(url, `ALTER SYSTEM SET synchronous_standby_names = '${standbys}'`);
      await queryOnce(url, "SELECT pg_reload_conf()");
    };
    await configure("nobody");
    let number = 0;
    // The setting is there when a commit waits.
    const sending = (async () => {
      for (;;) {
        await send(number);
        number += 1;
      }
    })();
    const refusal = refusalOf(sending);
    const waiting = await eventually(async () => {
      const [waits] = await queryOnce<{ pid: number }>(
        url,
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'",
      );
      if (waits === undefined) throw new Error("no commit waits for a standby");
      return waits;
    });
    const waitingNumber = number;
    await queryOnce(url, "SELECT pg_cancel_backend($1)", [waiting.pid]);
    expect(await refusal).toMatchObject({ code: "Unavailable", reason: "STORE_UNAVAILABLE" });
    expect(number).toBe(waitingNumber);
    await configure("");
    expect(await eventually(() => send(number))).toMatchObject({ deduplicated: true });
  });

  test("leaves servers with numbers of their own when their connections end", async () => {
    await using servers = await openReplicas(url, 3);
    const slots = () => servers.replicas.map(({ store }) => store.shared?.serverSlot);
    const isAvailable = servers.replicas.map(() => true);
    for (const [index, { store }] of servers.replicas.entries()) {
      store.shared?.watchAvailability((available) => {
        isAvailable[index] = available;
      });
    }
    expect(new Set(slots()).size).toBe(3);
    for (const _ of range(3)) {
      await terminate("true");
      await eventually(() => expect(isAvailable).toContain(false));
      await eventually(() => expect(isAvailable).toEqual([true, true, true]));
      expect(new Set(slots()).size).toBe(3);
    }
  });

  test("is no reason to stay for a server that is stopped", async () => {
    const server = await startTestServer(["--store", url]);
    {
      using client = grpc.connect(server.url);
      await client.signals.sendSignal(message);
      await cluster?.stop("immediate");
    }
    await server.stop();
    await cluster?.start();
    expect(server.fatalErrors).toEqual([]);
  });
});
