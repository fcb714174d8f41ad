import { describe, expect, test } from "@jest/globals";
import { signalMetricsResponse } from "../../../../server/src/rpc/signal-metrics-response.js";
import { CoordinatorUnderTest, openDurable } from "../../../support/coordinator-under-test.js";
import { ManualClock } from "../../../support/manual-clock.js";

const metricsOf = (subject: CoordinatorUnderTest) => subject.coordinator.look("c", signalMetricsResponse);

async function gaugeOf(subject: CoordinatorUnderTest): Promise<string | undefined> {
  const { body } = await subject.metrics.render();
  return body.split("\n").find((line) => line.startsWith("coordination_active_subscriptions "));
}

describe("Subscriptions: what is counted", () => {
  test("counts a signal once for each subscription that was handed it, by agent and type", async () => {
    await using subject = new CoordinatorUnderTest();
    const readers = ["a", "a", "b", ""].map((agentId) => subject.subscribe({ agentId }));
    for (const reader of readers) await reader.until("subscribed");
    await subject.send();
    await subject.send({ event: { case: "agentCompleted", value: {} }, recipientAgentIds: ["sender"] });
    await subject.send({ event: { case: "agentCompleted", value: {} } });
    await subject.coordinator.closeCoordination("c", "");
    for (const reader of readers) await reader.untilEnd();
    expect(await metricsOf(subject)).toMatchObject({
      totalSignalsSent: 3n,
      totalSignalsReceived: 9n,
      signalsByType: { INTER_AGENT_MESSAGE: 1n, AGENT_COMPLETED: 2n },
      signalsReceivedByAgent: { a: 4n, b: 2n, "": 3n },
      signalsReceivedByType: { INTER_AGENT_MESSAGE: 4n, AGENT_COMPLETED: 5n },
    });
  });

  test("measures from acceptance to hand-over, for what came after the reader had caught up", async () => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock });
    await subject.fill(2);
    clock.advance(60_000);
    const reader = subject.subscribe({ start: { at: "earliest" } });
    await reader.until("caughtUp");
    expect(await metricsOf(subject)).toMatchObject({ totalSignalsReceived: 2n, maxPropagationMs: 0 });
    await subject.send();
    await reader.untilSignals(3);
    clock.advance(40);
    await subject.coordinator.closeCoordination("c", "");
    await reader.untilEnd();
    expect(await metricsOf(subject)).toMatchObject({
      totalSignalsReceived: 3n,
      averagePropagationMs: 40,
      maxPropagationMs: 40,
    });
  });

  test("is there after a restart", async () => {
    await using server = await openDurable();
    const reader = server.current.subscribe({ agentId: "a" });
    await reader.until("subscribed");
    await server.current.fill(5);
    await server.current.coordinator.closeCoordination("c", "");
    await reader.untilEnd();
    const before = await metricsOf(server.current);
    const restarted = await server.restart();
    expect(await metricsOf(restarted)).toEqual(before);
    expect(before).toMatchObject({ totalSignalsReceived: 5n, totalSignalsSent: 5n });
  });

  test("keeps what was sent when signals leave the history", async () => {
    await using subject = new CoordinatorUnderTest({ retentionSignals: 2 });
    await subject.fill(10);
    expect(await metricsOf(subject)).toMatchObject({ totalSignalsSent: 10n, headSequence: 10n, oldestSequence: 9n });
  });
});

describe("Subscriptions: what is open", () => {
  test("shows how far behind each is, those that lag most first", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(4);
    await subject.subscribe({ agentId: "late", start: { at: "earliest" } }).until("subscribed");
    await subject.subscribe({ agentId: "current" }).until("subscribed");
    expect(await metricsOf(subject)).toMatchObject({
      activeSubscriptions: 2n,
      subscriptionLags: [
        { agentId: "late", positionSequence: 0n, deliveryLag: 4n },
        { agentId: "current", positionSequence: 4n, deliveryLag: 0n },
      ],
    });
  });

  test.each(["leaves", "is refused", "is ended"] as const)("counts none that %s", async (how) => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    const start = { at: "sequence", afterSequence: how === "is refused" ? 9n : 1n } as const;
    const reader = subject.subscribe({ agentId: "a", start });
    if (how === "is refused") await expect(reader.next()).rejects.toMatchObject({ reason: "CURSOR_AHEAD" });
    else await reader.until("subscribed");
    if (how === "leaves") await reader.leave();
    if (how === "is ended") {
      await subject.coordinator.closeCoordination("c", "");
      await reader.untilEnd();
    }
    expect(subject.coordinator.openSubscriptions).toBe(0);
    expect(await metricsOf(subject)).toMatchObject({ activeSubscriptions: 0n, subscriptionLags: [] });
    expect(await gaugeOf(subject)).toBe("coordination_active_subscriptions 0");
  });
});
