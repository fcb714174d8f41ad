import type {
  BatchSendSignalsRequest,
  SubscribeRequest,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { InvalidRequestError } from "../../../../client-sdk/src/index.js";
import { createLatch } from "../support/latch.js";
import { ManualClock } from "../support/manual-clock.js";
import { connectScripted } from "../support/scripted-client.js";
import { storeAll, subscribed } from "../support/scripted-log.js";
import { clientLeft, type Script } from "../support/scripted-server.js";
import { type ScriptedWork, scriptedWork } from "../support/scripted-work.js";

/** The same, but what is delivered are requests. */
function requesting(work: ScriptedWork, sent: BatchSendSignalsRequest[]): Script {
  const subscribe = work.script.signals?.subscribe;
  return {
    signals: {
      ...work.script.signals,
      async *subscribe(request, context) {
        for await (const response of subscribe?.(request, context) ?? []) {
          if (response.item?.case === "batch") {
            for (const { event } of response.item.value.signals ?? []) {
              if (event?.case === "interAgentMessage") event.value.requiresResponse = true;
            }
          }
          yield response;
        }
      },
      batchSendSignals: (request) => {
        sent.push(request);
        return storeAll(request);
      },
    },
  };
}

describe("session.onRequest with a named subscription", () => {
  test("acknowledges a request once its reply is stored, and also when the reply is left to others", async () => {
    const work = scriptedWork([[1, 2]]);
    const sent: BatchSendSignalsRequest[] = [];
    await using scripted = await connectScripted(requesting(work, sent));
    await using listener = scripted.session.onRequest(
      ({ sequence }) => (sequence === 1n ? { messageType: "answer" } : undefined),
      { subscription: "asked", messageTypes: ["note"], maxConcurrent: 1, ack: { deadlineMs: 5_000 } },
    );
    await listener.ready();
    await work.saidSoMuch(2);
    expect(work.said).toEqual(["ack 1.1", "ack 2.1"]);
    expect(sent.flatMap(({ requests }) => requests)).toMatchObject([
      { correlationId: "signal-1", requestId: "reply to signal-1", recipientAgentIds: ["sender"] },
    ]);
    expect(work.subscribes[0]).toMatchObject({
      subscription: "asked",
      filter: {
        expression:
          'signal.inter_agent_message.requires_response && signal.inter_agent_message.message_type in ["note"]',
      },
      ackPolicy: { ackDeadline: { seconds: 5n } },
    });
  });

  test("refuses what its handler failed at, with the reason, and then ends as without a name", async () => {
    const work = scriptedWork([[1]]);
    await using scripted = await connectScripted(requesting(work, []));
    const failure = new Error("cannot");
    const listener = scripted.session.onRequest(
      () => {
        throw failure;
      },
      { subscription: "asked" },
    );
    await expect(listener.finished).rejects.toBe(failure);
    expect(work.said).toEqual(["nack 1.1 cannot"]);
  });

  test("keeps nothing once it is closed", async () => {
    const clock = new ManualClock();
    const work = scriptedWork([[1, 2, 3]]);
    await using scripted = await connectScripted(requesting(work, []), { clock });
    const started = createLatch();
    const gate = createLatch();
    const listener = scripted.session.onRequest(
      async () => {
        started.open();
        await gate.promise;
        return undefined;
      },
      { subscription: "asked", maxConcurrent: 1, ack: { deadlineMs: 3_000 } },
    );
    await started.promise;
    await clock.timerStarted(1_000);
    gate.open();
    await listener.close();
    expect(clock.delaysMs()).not.toContain(1_000);
  });

  test("refuses acknowledgements without a name", async () => {
    await using scripted = await connectScripted({});
    const listen = () => scripted.session.onRequest(() => undefined, { ack: {} });
    expect(listen).toThrow(InvalidRequestError);
  });
});

describe("session.onRequest", () => {
  test("begins to listen where it is told to", async () => {
    const requests: SubscribeRequest[] = [];
    await using scripted = await connectScripted({
      signals: {
        async *subscribe(request, context) {
          requests.push(request);
          yield subscribed(1);
          await clientLeft(context);
        },
      },
    });
    await using listener = scripted.session.onRequest(() => undefined, { from: { afterSequence: 3n } });
    await listener.ready();
    expect(requests).toMatchObject([{ start: { case: "afterSequence", value: 3n }, subscription: "" }]);
  });
});
