import { DeadLetterReason } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { DeliveryOrder } from "@coordination-signals/proto/coordination/v1/signal_service";
import { StateChangeKind } from "@coordination-signals/proto/coordination/v1/state_service";
import { describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { scrapeMetrics } from "../support/scrape-metrics.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { startTestServer } from "../support/test-server.js";
import {
  ack,
  acknowledge,
  coordinationId,
  deliveredTo,
  openConsumer,
  subscription,
  untilDelivered,
} from "../support/work-subscription.js";

const named = { coordinationId, subscription };
const items = "signal.inter_agent_message.payload.items";
// As many steps as the list's length squared.
const filter = { expression: `${items}.all(x, x in ${items})` };

function send({ signals }: TestClient, message: string, itemCount: number, priority = Priority.NORMAL) {
  const payload = { items: Array.from({ length: itemCount }, (_, index) => index) };
  return signals.sendSignal({
    coordinationId,
    senderAgentId: "sender",
    priority,
    event: { case: "interAgentMessage", value: { message, payload } },
  });
}

const tooMany = 3_000;

describe.each([
  ["in the order of the log", DeliveryOrder.SEQUENCE, ["a", "b", "c"]],
  ["in order of priority", DeliveryOrder.PRIORITY, ["c", "a", "b"]],
] as const)("a signal whose filter takes too long, %s", (_, order, rest) => {
  test("becomes a dead letter that says so, holds up nothing, and is delivered when it is redriven", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    await send(client, "a", 1);
    await send(client, "dear", tooMany);
    await send(client, "b", 1);
    await send(client, "dearer", tooMany, Priority.HIGH);
    await send(client, "c", 1, Priority.HIGH);
    using consumer = openConsumer(client, {}, { order, filter });
    await untilDelivered(consumer, 3);
    expect(deliveredTo(consumer).map(({ message }) => message)).toEqual(rest);
    await acknowledge(client, ...deliveredTo(consumer).map(ack));
    const letters = await eventually(async () => {
      const found = await client.signals.listDeadLetters({ coordinationId });
      expect(found.deadLetterCount).toBe(2n);
      return found.deadLetters;
    });
    for (const letter of letters) {
      expect(letter).toMatchObject({ reason: DeadLetterReason.FILTER_BUDGET, attempts: 0, subscription });
      expect(letter.detail).toContain("steps");
    }
    expect(letters.map(({ sequence }) => sequence).sort()).toEqual([2n, 4n]);
    expect((await client.signals.listSubscriptions({ coordinationId })).subscriptions).toMatchObject([
      { scannedSequence: 5n, outstandingCount: 0n, deadLetterCount: 2n },
    ]);
    const { changes } = await client.state.listStateChanges({ coordinationId });
    expect(changes.filter(({ kind }) => kind === StateChangeKind.SIGNALS_DEAD_LETTERED)).toHaveLength(2);
    expect(
      (await scrapeMetrics(server.url)).value("coordination_dead_letters_total", { reason: "filter_budget" }),
    ).toBe(2);
    await client.signals.redriveDeadLetters({ ...named, sequences: [2n] });
    expect(await untilDelivered(consumer, 4)).toMatchObject({ message: "dear", attempt: 1 });
    consumer.cancel();
  });
});
