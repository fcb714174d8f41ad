import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { expect, test } from "@jest/globals";
import { MemorySignalStore } from "../../server/src/store/memory/memory-signal-store.js";
import { deferred } from "../support/deferred.js";
import { eventually } from "../support/eventually.js";
import { ObservedStore } from "../support/observed-store.js";
import { refusalFrom } from "../support/refusal.js";
import { note } from "../support/sample-signals.js";
import { grpc, type TestClient } from "../support/test-client.js";
import { startTestServer } from "../support/test-server.js";
import { coordinationId, deadLetters, policyOf } from "../support/work-subscription.js";

async function sendAs({ signals }: TestClient, senderAgentId: string, count: number): Promise<void> {
  const request = { coordinationId, senderAgentId, event: { case: "interAgentMessage" as const, value: {} } };
  for (let left = count; left > 0; left -= 1_000) {
    await signals.batchSendSignals({ requests: new Array(Math.min(1_000, left)).fill(request) });
  }
}

test("a send whose signal leaves the history with more others than can be dead letters says that it was not acknowledged", async () => {
  const store = new ObservedStore(new MemorySignalStore());
  await using server = await startTestServer(["--max-history-signals", "20"], store);
  using client = grpc.connect(server.url);
  await client.signals.createSubscription({
    coordinationId,
    agentId: "validator",
    subscription: "validator",
    filter: { senderAgentIds: ["sender"] },
    start: { case: "position", value: StartPosition.EARLIEST },
    ackPolicy: policyOf(),
  });
  // The first step of trimming is held, so that the second one has much to remove.
  const [begun, release] = [deferred(), deferred()];
  store.hooks.beforeRead = () => {
    delete store.hooks.beforeRead;
    begun.resolve();
    return release.promise;
  };
  await sendAs(client, "other", 280);
  await begun.promise;
  const sending = client.signals
    .sendSignal({
      ...note(coordinationId),
      senderAgentId: "sender",
      requiredAcks: ["validator"],
      ackTimeout: durationFromMs(3_600_000),
    })
    .catch((error: unknown) => error);
  await eventually(async () =>
    expect(await client.signals.getSignalMetrics({ coordinationId })).toMatchObject({ headSequence: 281n }),
  );
  await sendAs(client, "sender", 1_019);
  await sendAs(client, "other", 3_700);
  release.resolve();
  expect(refusalFrom(await sending)).toMatchObject({
    reason: "NOT_ACKNOWLEDGED",
    metadata: { agents: "validator", sequence: "281" },
  });
  expect(await deadLetters(client)).toMatchObject({ deadLetterCount: 1_000n, droppedCount: 20n });
});
