import { HistoryOrder, StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { note } from "../support/sample-signals.js";
import { spawnServer } from "../support/spawned-server.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { openSubscription } from "../support/test-subscription.js";

const COORDINATION_ID = "killed";
const SENDERS = 4;
const ACKNOWLEDGED_BEFORE_KILL = 200;
const KILLS = 3;

/** What was promised about a signal, or shown of it: its name by its sequence. */
type Seen = Map<bigint, string>;

/** Sends one signal after the other until the server is gone; notes each that was acknowledged. */
async function sendUntilGone(client: TestClient, acknowledged: Seen, onAcknowledged: () => void): Promise<void> {
  for (;;) {
    const answer = await client.signals.sendSignal(note(COORDINATION_ID)).catch(() => undefined);
    if (answer === undefined) return;
    acknowledged.set(answer.sequence, answer.signalId);
    onAcknowledged();
  }
}

/** Reads what a new observer is shown until the server is gone. */
async function watchUntilGone(client: TestClient, shown: Seen): Promise<void> {
  const request = {
    coordinationId: COORDINATION_ID,
    start: { case: "position", value: StartPosition.LATEST },
  } as const;
  using subscription = openSubscription(client.signals, request);
  await subscription.untilEnd();
  for (const { sequence, signalId } of subscription.signals) shown.set(sequence, signalId);
}

async function readLog(client: TestClient): Promise<Seen> {
  const log: Seen = new Map();
  let pageToken = "";
  do {
    const order = HistoryOrder.OLDEST_FIRST;
    const page = await client.signals.getSignalHistory({
      coordinationId: COORDINATION_ID,
      order,
      pageSize: 1000,
      pageToken,
    });
    for (const { sequence, signalId } of page.signals) log.set(sequence, signalId);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return log;
}

describe("durable", () => {
  test("what was acknowledged or shown is there after kill -9 in the middle of sends", async () => {
    await using directory = await temporaryDirectory();
    const promised: Seen = new Map();
    const shown: Seen = new Map();
    for (let kill = 0; kill < KILLS; kill += 1) {
      const before = promised.size;
      await using server = await spawnServer(["--store", `lmdb:${directory.path}`]);
      using client = grpc.connect(server.url);
      const killAtLimit = () => {
        if (promised.size - before >= ACKNOWLEDGED_BEFORE_KILL) server.kill("SIGKILL");
      };
      const senders = Array.from({ length: SENDERS }, () => sendUntilGone(client, promised, killAtLimit));
      await Promise.all([watchUntilGone(client, shown), ...senders]);
      expect(await server.exited).toEqual({ code: null, signal: "SIGKILL" });
    }
    await using server = await spawnServer(["--store", `lmdb:${directory.path}`]);
    using client = grpc.connect(server.url);
    const log = await readLog(client);
    expect([...log.keys()]).toEqual([...log.keys()].map((_, index) => BigInt(index + 1)));
    expect(promised.size).toBeGreaterThanOrEqual(KILLS * ACKNOWLEDGED_BEFORE_KILL);
    expect(shown.size).toBeGreaterThan(0);
    for (const [sequence, signalId] of [...promised, ...shown]) expect(log.get(sequence)).toBe(signalId);
  });

  test("memory: says that it is not", async () => {
    await using server = await spawnServer(["--store", "memory:"]);
    using client = grpc.connect(server.url);
    const { epoch } = await client.signals.sendSignal(note(COORDINATION_ID));
    await server.stop();
    await using next = await spawnServer(["--store", "memory:"]);
    using other = grpc.connect(next.url);
    const answer = await other.signals.sendSignal(note(COORDINATION_ID));
    expect(answer.sequence).toBe(1n);
    expect(answer.epoch).not.toBe(epoch);
  });
});
