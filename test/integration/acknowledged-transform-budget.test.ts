import { DeadLetterReason } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { DeliveryOrder } from "@coordination-signals/proto/coordination/v1/signal_service";
import { StateChangeKind } from "@coordination-signals/proto/coordination/v1/state_service";
import { describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { scrapeMetrics } from "../support/scrape-metrics.js";
import { grpc } from "../support/test-client.js";
import { startTestServer } from "../support/test-server.js";
import { checkRangesJoin } from "../support/test-subscription.js";
import {
  ack,
  acknowledge,
  coordinationId,
  deadLetters,
  deliveredTo,
  openConsumer,
  sendMessages,
  standingOf,
  subscription,
  untilDelivered,
} from "../support/work-subscription.js";

// Too many steps for a long message, few for a short one.
const value = 'signal.inter_agent_message.message.matches("(a|b)*c[ab]{9}z") ? "y" : "n"';
const transform = { fields: [{ path: "message_type", action: { case: "set" as const, value } }] };
const dear = "a".repeat(200_000);

describe.each([
  ["in the order of the log", DeliveryOrder.SEQUENCE],
  ["in order of priority", DeliveryOrder.PRIORITY],
] as const)("a signal that a consumer's transform takes too long for, %s", (_, order) => {
  test("uses up its attempts and becomes a dead letter that says so, and those beside it are delivered", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    await sendMessages(client, ["before", dear, "after", dear]);
    const policy = { attempts: 3, minBackoffMs: 0, deadlineMs: 3_600_000 };
    using consumer = openConsumer(client, policy, { order, transform });
    await untilDelivered(consumer, 2);
    const letters = await eventually(async () => {
      const found = await deadLetters(client);
      expect(found.deadLetterCount).toBe(2n);
      return found.deadLetters;
    });
    for (const letter of letters) {
      expect(letter).toMatchObject({ reason: DeadLetterReason.FILTER_BUDGET, attempts: 3, subscription });
      expect(letter.detail).toContain("steps");
    }
    expect(letters.map(({ sequence }) => sequence).sort()).toEqual([2n, 4n]);
    await sendMessages(client, ["last"]);
    await untilDelivered(consumer, 3);
    expect(deliveredTo(consumer).map(({ message, attempt }) => [message, attempt])).toEqual([
      ["before", 1],
      ["after", 1],
      ["last", 1],
    ]);
    expect(consumer.signals.every(({ event }) => JSON.stringify(event.value).includes('"n"'))).toBe(true);
    expect(await acknowledge(client, ...deliveredTo(consumer).map(ack))).toEqual(["taken", "taken", "taken"]);
    expect(await standingOf(client)).toMatchObject({ scannedSequence: 5n, outstandingCount: 0n, deadLetterCount: 2n });
    const { changes } = await client.state.listStateChanges({ coordinationId });
    expect(changes.filter(({ kind }) => kind === StateChangeKind.SIGNALS_DEAD_LETTERED)).toHaveLength(2);
    const metrics = await scrapeMetrics(server.url);
    expect(metrics.value("coordination_dead_letters_total", { reason: "filter_budget" })).toBe(2);
    // In order of priority, urgent signals lie beyond the range.
    if (order === DeliveryOrder.SEQUENCE) checkRangesJoin(consumer.items);
  });

  test("is delivered by another consumer that can", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    using unable = openConsumer(client, { attempts: 100, minBackoffMs: 0 }, { order, transform });
    await unable.until("caughtUp");
    await sendMessages(client, [dear]);
    using able = openConsumer(client, { attempts: 100, minBackoffMs: 0 }, { order });
    const delivered = await untilDelivered(able, 1);
    expect(delivered).toMatchObject({ sequence: 1n, message: dear });
    expect(await acknowledge(client, ack(delivered))).toEqual(["taken"]);
    expect(await standingOf(client)).toMatchObject({ consumerCount: 2n, outstandingCount: 0n, deadLetterCount: 0n });
  });
});
