import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { ItemSink } from "../../../../server/src/delivery/item-sink.js";
import type { SubscriptionStart } from "../../../../server/src/delivery/subscription-start.js";
import type { TailItem } from "../../../../server/src/delivery/tail-item.js";
import { tailCacheSignals } from "../../../../server/src/model/limits.js";
import { signalMetricsResponse } from "../../../../server/src/rpc/signal-metrics-response.js";
import { MemorySignalStore } from "../../../../server/src/store/memory/memory-signal-store.js";
import { CoordinatorUnderTest, filterOf } from "../../../support/coordinator-under-test.js";
import { deferred } from "../../../support/deferred.js";
import { ObservedStore } from "../../../support/observed-store.js";
import { settle } from "../../../support/settle.js";

/** A connection that takes what a test lets it take. */
class Connection implements ItemSink {
  readonly written: TailItem["kind"][] = [];
  isReady = true;
  ended: unknown;

  write(item: TailItem): void {
    this.written.push(item.kind);
    if (item.kind === "batch") this.isReady = false;
  }

  end(): void {
    this.ended = "well";
  }

  fail(error: unknown): void {
    this.ended = error;
  }
}

function open(subject: CoordinatorUnderTest, sink: ItemSink, start: SubscriptionStart = { at: "latest" }) {
  return subject.coordinator.openSubscription(
    {
      coordinationId: "c",
      agentId: "reader",
      filter: filterOf(undefined),
      start,
      includeOwn: false,
      checkpointIntervalMs: 40_000,
    },
    sink,
  );
}

async function received(subject: CoordinatorUnderTest): Promise<bigint> {
  return (await subject.coordinator.look("c", signalMetricsResponse)).totalSignalsReceived;
}

describe("Subscription: a connection", () => {
  let subject: CoordinatorUnderTest;
  const connection = () => new Connection();

  beforeEach(async () => {
    subject = new CoordinatorUnderTest();
    await subject.send();
  });

  afterEach(() => subject.dispose());

  test("that takes its time is handed one batch, and the rest together when it has taken that", async () => {
    const sink = connection();
    const subscription = open(subject, sink);
    await settle();
    for (let count = 0; count < 3; count += 1) {
      await subject.send();
      await settle();
    }
    expect(sink.written).toEqual(["subscribed", "caughtUp", "batch"]);
    sink.isReady = true;
    subscription.resume();
    expect(sink.written).toEqual(["subscribed", "caughtUp", "batch", "batch"]);
    subscription.leave();
  });

  test("counts as handed over what it has taken", async () => {
    const sink = connection();
    const subscription = open(subject, sink);
    await settle();
    await subject.send();
    await settle();
    expect(await received(subject)).toBe(0n);
    sink.isReady = true;
    subscription.resume();
    expect(await received(subject)).toBe(1n);
    subscription.leave();
  });

  test("frees everything at once when it is gone, and gets nothing more", async () => {
    const sink = connection();
    const subscription = open(subject, sink);
    await settle();
    await subject.send();
    await settle();
    subscription.leave();
    expect(subject.coordinator.openSubscriptions).toBe(0);
    sink.isReady = true;
    subscription.resume();
    await subject.send();
    await settle();
    expect(sink.written).toEqual(["subscribed", "caughtUp", "batch"]);
    expect(await received(subject)).toBe(0n);
    expect(sink.ended).toBeUndefined();
  });

  test("gets nothing of a signal that woke it when it leaves before its turn", async () => {
    const [first, second] = [connection(), connection()];
    open(subject, first);
    const leaving = open(subject, second);
    await settle();
    first.write = (item) => {
      if (item.kind === "batch") leaving.leave();
    };
    await subject.send();
    await settle();
    expect(second.written).toEqual(["subscribed", "caughtUp"]);
    await subject.coordinator.closeCoordination("c", "");
    await settle();
    expect(first.ended).toBe("well");
  });

  test("is ended with what writing to it throws", async () => {
    const sink = connection();
    const broken = new Error("cannot be encoded");
    sink.write = () => {
      throw broken;
    };
    open(subject, sink);
    await settle();
    expect(sink.ended).toBe(broken);
    expect(subject.coordinator.openSubscriptions).toBe(0);
  });
});

test("Subscription: one that is left while it is being opened holds nothing, before and after", async () => {
  const loading = deferred();
  const store = new ObservedStore(new MemorySignalStore());
  store.hooks.beforeLoad = () => loading.promise;
  await using subject = new CoordinatorUnderTest({ store });
  const sink = new Connection();
  open(subject, sink).leave();
  expect(subject.coordinator.openSubscriptions).toBe(0);
  loading.resolve();
  await settle();
  expect([sink.written, sink.ended]).toEqual([[], undefined]);
});

test("Subscription: what is read from the store for one that leaves meanwhile is written to nobody", async () => {
  const read = deferred();
  const store = new ObservedStore(new MemorySignalStore());
  await using subject = new CoordinatorUnderTest({ store });
  await subject.fill(tailCacheSignals + 1);
  store.hooks.afterRead = () => read.promise;
  const sink = new Connection();
  const subscription = open(subject, sink, { at: "earliest" });
  await settle();
  subscription.leave();
  read.resolve();
  await settle();
  expect([sink.written, sink.ended]).toEqual([["subscribed"], undefined]);
});
