import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { DeliveryVerdict } from "@coordination-signals/proto/coordination/v1/receipt";
import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { DeliveryOrder } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { eventually } from "../support/eventually.js";
import { note } from "../support/sample-signals.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { startTestServer } from "../support/test-server.js";
import {
  ack,
  acknowledge,
  coordinationId,
  deliveredTo,
  openConsumer,
  reject,
  subscription,
  untilDelivered,
} from "../support/work-subscription.js";

const agentId = "worker";

/** Sends a signal that the worker has to acknowledge; answers when it has. */
function send({ signals }: TestClient, message: string, priority: Priority) {
  const required = { requiredAcks: [agentId], ackTimeout: durationFromMs(60_000) };
  const call = signals.sendSignal({ ...note(coordinationId, message), ...required, priority });
  // A test that fails before it awaits the call says why itself.
  call.catch(() => undefined);
  return call;
}

async function verdictOn({ signals }: TestClient, sequence: bigint): Promise<DeliveryVerdict> {
  const reader = { case: "subscription" as const, value: subscription };
  return (await signals.explainDelivery({ coordinationId, sequence, reader })).verdict;
}

describe("required_acks of a subscription in order of priority", () => {
  test("are answered in the order in which the agent works, also past a signal that was sent before", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    const parts = { agentId, order: DeliveryOrder.PRIORITY };
    using consumer = openConsumer(client, { maxOutstanding: 1 }, parts);
    await consumer.until("subscribed");
    const answered: string[] = [];
    const noted = (name: string, call: Promise<unknown>) => call.then(() => answered.push(name));
    const first = noted("first", send(client, "first", Priority.NORMAL));
    const held = await untilDelivered(consumer, 1);
    const low = noted("low", send(client, "low", Priority.LOW));
    const high = noted("high", send(client, "high", Priority.HIGH));
    await eventually(async () => {
      const { coordination } = await client.coordinations.getCoordination({ coordinationId });
      expect(coordination?.headSequence).toBe(3n);
    });
    expect([await verdictOn(client, 1n), await verdictOn(client, 2n), await verdictOn(client, 3n)]).toEqual([
      DeliveryVerdict.OUTSTANDING,
      DeliveryVerdict.NOT_YET,
      DeliveryVerdict.NOT_YET,
    ]);
    await acknowledge(client, ack(held));
    await first;
    await acknowledge(client, ack(await untilDelivered(consumer, 2)));
    await high;
    // What was passed over is still waited for.
    expect([await verdictOn(client, 2n), await verdictOn(client, 3n)]).toEqual([
      DeliveryVerdict.OUTSTANDING,
      DeliveryVerdict.ACKNOWLEDGED,
    ]);
    expect(answered).toEqual(["first", "high"]);
    await acknowledge(client, ack(await untilDelivered(consumer, 3)));
    await low;
    expect(deliveredTo(consumer).map(({ message }) => message)).toEqual(["first", "high", "low"]);
    consumer.cancel();
  });

  test("of a CONTROL signal do not wait for what is outstanding, and tell who rejected it", async () => {
    await using server = await startTestServer();
    using client = grpc.connect(server.url);
    const parts = { agentId, order: DeliveryOrder.PRIORITY };
    using consumer = openConsumer(client, { maxOutstanding: 1 }, parts);
    await consumer.until("subscribed");
    const normal = send(client, "work", Priority.NORMAL);
    const held = await untilDelivered(consumer, 1);
    const control = send(client, "stop", Priority.CONTROL);
    await acknowledge(client, reject(await untilDelivered(consumer, 2)));
    await expect(control).rejects.toThrow(/worker.*rejected/);
    await acknowledge(client, ack(held));
    await normal;
    consumer.cancel();
  });
});
