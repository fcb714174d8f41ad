import { HistoryOrder } from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import * as limits from "../../server/src/model/limits.js";
import { serverFlags } from "../../server/src/server-flags.js";
import { eventually } from "../support/eventually.js";
import { refusalFromStatus, refusalOf } from "../support/refusal.js";
import { newCoordinationId, note, notes } from "../support/sample-signals.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { openSubscription } from "../support/test-subscription.js";

const BOUNDS = { coordinations: 4, subscriptions: 2, history: 5 };

describe("bounded", () => {
  let server: SpawnedServer;
  let client: TestClient;

  beforeAll(async () => {
    server = await spawnServer([
      ...["--max-coordinations", `${BOUNDS.coordinations}`],
      ...["--max-subscriptions", `${BOUNDS.subscriptions}`],
      ...["--max-history-signals", `${BOUNDS.history}`],
    ]);
    client = grpc.connect(server.url);
  });

  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });

  test("every bound that is a flag has a default, and every other one is a finite number", () => {
    const { retentionAgeMs, ...others } = serverFlags; // the age comes on top of the number of signals, which is the bound
    const bounds = Object.entries(others).filter(([key]) => /^max|Ms$/.test(key));
    expect(retentionAgeMs.defaultText).toBe("off");
    expect(bounds.length).toBeGreaterThan(10);
    for (const [, { defaultText }] of bounds) expect(defaultText).toMatch(/^\d+(ms|s|m|h)?$/);
    const named = Object.entries(limits).filter(([, value]) => typeof value === "number");
    expect(named.length).toBeGreaterThan(10);
    for (const [, value] of named) expect(value).toBeLessThan(Number.POSITIVE_INFINITY);
  });

  test("history keeps the newest signals and says which is the oldest", async () => {
    const coordinationId = newCoordinationId();
    await client.signals.batchSendSignals({ requests: notes(coordinationId, 3 * BOUNDS.history) });
    const order = HistoryOrder.OLDEST_FIRST;
    const { signals } = await client.signals.getSignalHistory({ coordinationId, order, pageSize: 1000 });
    const { oldestSequence, headSequence } = await client.signals.getSignalMetrics({ coordinationId });
    expect(headSequence).toBe(BigInt(3 * BOUNDS.history));
    expect(signals.map(({ sequence }) => sequence)).toEqual([11n, 12n, 13n, 14n, 15n]);
    expect(oldestSequence).toBe(11n);
  });

  test("one subscription too many is refused, and one that ends makes room", async () => {
    const coordinationId = newCoordinationId();
    const open = () => openSubscription(client.signals, { coordinationId });
    const first = open();
    using second = open();
    await Promise.all([first.next(), second.next()]);
    using third = open();
    expect(await refusalOf(third.next())).toMatchObject({
      code: "ResourceExhausted",
      reason: "TOO_MANY_SUBSCRIPTIONS",
    });
    first.cancel();
    await eventually(async () => {
      using again = open();
      await again.next();
    });
  });

  test("one signal, one batch and one page too large are refused with the limit", async () => {
    const coordinationId = newCoordinationId();
    const tooLarge = note(coordinationId, "x".repeat(300_000));
    expect(await refusalOf(client.signals.sendSignal(tooLarge))).toMatchObject({
      code: "InvalidArgument",
      reason: "SIGNAL_TOO_LARGE",
      message: expect.stringContaining("262144"),
    });
    const tooMany = client.signals.batchSendSignals({ requests: notes(coordinationId, 1001) });
    expect(await refusalOf(tooMany)).toMatchObject({
      reason: "INVALID_REQUEST",
      message: expect.stringContaining("1000"),
    });
    const tooLong = client.signals.getSignalHistory({ coordinationId, pageSize: 1001 });
    expect(await refusalOf(tooLong)).toMatchObject({
      reason: "INVALID_REQUEST",
      message: expect.stringContaining("1000"),
    });
  });

  test("one coordination too many is refused", async () => {
    const requests = Array.from({ length: BOUNDS.coordinations + 1 }, () => note(newCoordinationId()));
    const { results } = await client.signals.batchSendSignals({ requests });
    const reasons = results.map(({ result }) =>
      result.case === "error" ? refusalFromStatus(result.value).reason : "stored",
    );
    expect(reasons).toContain("TOO_MANY_COORDINATIONS");
    expect(reasons.filter((reason) => reason === "stored").length).toBeLessThanOrEqual(BOUNDS.coordinations);
  });
});
