import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "@jest/globals";
import { scanKey } from "../../server/src/state/subscription-record.js";
import { MemorySignalStore } from "../../server/src/store/memory/memory-signal-store.js";
import { deferred } from "../support/deferred.js";
import { eventually } from "../support/eventually.js";
import { ObservedStore } from "../support/observed-store.js";
import { refusalFrom } from "../support/refusal.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { startTestServer } from "../support/test-server.js";
import {
  coordinationId,
  deadLetters,
  deliveredTo,
  openConsumer,
  policyOf,
  sendMessages,
  standingOf,
  subscription,
  untilDelivered,
} from "../support/work-subscription.js";

const kept = 20;
const flags = ["--max-history-signals", String(kept)];
const messages = Array.from({ length: 300 }, (_, index) => `${index}`);
const start = { case: "startTime" as const, value: timestampFromMs(1) };
const named = { coordinationId, subscription, ackPolicy: policyOf() };

const newStore = () => new ObservedStore(new MemorySignalStore());

const untilTrimmed = (store: ObservedStore, through: bigint) =>
  eventually(async () => {
    const { header } = (await store.load(coordinationId)) ?? {};
    expect(header?.trimmedThroughSequence).toBeGreaterThanOrEqual(through);
  });

/** Holds the next read of the log. */
function holdRead({ hooks }: ObservedStore) {
  const [begun, release] = [deferred(), deferred()];
  hooks.beforeRead = () => {
    delete hooks.beforeRead;
    begun.resolve();
    return release.promise;
  };
  return { begun: begun.promise, release: release.resolve };
}

/** Begins to make a subscription that starts at a time in a history that was trimmed, and holds it where it looks for the time. */
async function beginMaking(client: TestClient, store: ObservedStore) {
  await sendMessages(client, messages);
  await untilTrimmed(store, 256n);
  const { begun, release } = holdRead(store);
  const making = client.signals.createSubscription({ ...named, start });
  await begun;
  return { making, release };
}

describe("a named subscription that starts at a time", () => {
  test("gets what is left of the log, and what comes, when its start is trimmed while it is looked for", async () => {
    const store = newStore();
    await using server = await startTestServer(flags, store);
    using client = grpc.connect(server.url);
    const { making, release } = await beginMaking(client, store);
    await sendMessages(client, messages);
    await untilTrimmed(store, 512n);
    release();
    expect((await making).subscription).toMatchObject({ scannedSequence: 580n });
    using consumer = openConsumer(client, {}, { start });
    await untilDelivered(consumer, kept);
    await sendMessages(client, ["new"]);
    expect(await untilDelivered(consumer, kept + 1)).toMatchObject({ message: "new" });
    expect(deliveredTo(consumer).map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: kept + 1 }, (_, index) => BigInt(581 + index)),
    );
  });

  test("gets everything of a coordination that was deleted and made again while its start is looked for", async () => {
    const store = newStore();
    await using server = await startTestServer(flags, store);
    using client = grpc.connect(server.url);
    const { making, release } = await beginMaking(client, store);
    await client.coordinations.deleteCoordination({ coordinationId });
    await sendMessages(client, ["a", "b"]);
    release();
    await making;
    using consumer = openConsumer(client, {}, { start });
    await untilDelivered(consumer, 2);
    expect(deliveredTo(consumer).map(({ message }) => message)).toEqual(["a", "b"]);
  });
});

test("a named subscription that starts after a sequence is refused when that has left the history as it is made", async () => {
  const store = newStore();
  await using server = await startTestServer(flags, store);
  using client = grpc.connect(server.url);
  await sendMessages(client, messages.slice(0, 10));
  const [begun, release] = [deferred(), deferred()];
  store.hooks.beforeCommit = () => {
    delete store.hooks.beforeCommit;
    begun.resolve();
    return release.promise;
  };
  const sending = sendMessages(client, messages);
  await begun.promise;
  const making = client.signals
    .createSubscription({ ...named, start: { case: "afterSequence", value: 5n } })
    .catch((error: unknown) => error);
  // What is asked behind it is answered behind it: it waits for the commit now.
  await client.signals.getSignalHistory({ coordinationId });
  release.resolve();
  await sending;
  expect(refusalFrom(await making)).toMatchObject({
    code: "OutOfRange",
    reason: "CURSOR_EXPIRED",
    metadata: { oldest_sequence: "291", resume_after_sequence: "290" },
  });
  expect((await client.signals.listSubscriptions({ coordinationId })).subscriptions).toEqual([]);
});

/** Outlives its server, as what is on a disk does. */
class LastingStore extends MemorySignalStore {
  override async close(): Promise<void> {}
}

test("a named subscription that a store has behind its trim point goes on from there, and says how much it has missed", async () => {
  const store = new LastingStore();
  const before = await startTestServer(flags, store);
  const maker = grpc.connect(before.url);
  await sendMessages(maker, messages);
  await eventually(async () => expect((await store.load(coordinationId))?.header.trimmedThroughSequence).toBe(256n));
  await maker.signals.createSubscription(named);
  maker.disconnect();
  await before.stop();
  const { header } = (await store.load(coordinationId)) ?? {};
  if (header === undefined) throw new Error("there is no coordination");
  const value = Buffer.from(JSON.stringify({ throughSequence: "6", claims: 0 }));
  const records = [{ kind: "subscription" as const, key: scanKey(subscription), value }];
  await store.commit([{ action: "write", expected: undefined, header, entries: [], records }]);
  await using server = await startTestServer(flags, store);
  using client = grpc.connect(server.url);
  using consumer = openConsumer(client, {}, { start: { case: undefined } });
  expect(await untilDelivered(consumer, 1)).toMatchObject({ sequence: 257n });
  await untilDelivered(consumer, 44);
  expect(await deadLetters(client)).toMatchObject({ deadLetterCount: 0n, droppedCount: 250n });
  expect(await standingOf(client)).toMatchObject({ scannedSequence: 300n, outstandingCount: 44n });
});
