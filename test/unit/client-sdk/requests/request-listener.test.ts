import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import type {
  BatchSendSignalsRequest,
  SubscribeRequest,
  SubscribeResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { AckExpiredError, type IncomingRequest, InvalidRequestError } from "../../../../client-sdk/src/index.js";
import { contractStatus } from "../support/contract-errors.js";
import { createLatch } from "../support/latch.js";
import { ManualClock } from "../support/manual-clock.js";
import { connectScripted } from "../support/scripted-client.js";
import { batch, storeAll, subscribed } from "../support/scripted-log.js";
import { clientLeft, type Script } from "../support/scripted-server.js";
import { refused, type ScriptedWork, scriptedWork } from "../support/scripted-work.js";

type Item = MessageInitShape<typeof SubscribeResponseSchema>;

/** The same, but what is delivered are requests. */
function requesting(work: ScriptedWork, sent: BatchSendSignalsRequest[]): Script {
  const subscribe = work.script.signals?.subscribe;
  return {
    signals: {
      ...work.script.signals,
      async *subscribe(request, context) {
        for await (const response of subscribe?.(request, context) ?? []) yield askingForReplies(response);
      },
      batchSendSignals: (request) => {
        sent.push(request);
        return storeAll(request);
      },
    },
  };
}

/** The same, but its signals ask for replies. */
function askingForReplies(response: Item): Item {
  if (response.item?.case === "batch") {
    for (const { event } of response.item.value.signals ?? []) {
      if (event?.case === "interAgentMessage") event.value.requiresResponse = true;
    }
  }
  return response;
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

  test("keeps what its handlers are at while it is closed: each is answered and acknowledged before the stream goes", async () => {
    const work = scriptedWork([[1, 2]]);
    const sent: BatchSendSignalsRequest[] = [];
    await using scripted = await connectScripted(requesting(work, sent));
    const seen: bigint[] = [];
    const listener = scripted.session.onRequest(
      async ({ sequence }) => {
        seen.push(sequence);
        void listener.close();
        await scripted.session.message({ messageType: "a round trip, after which the stream would be gone" });
        return { messageType: "answer" };
      },
      { subscription: "asked" },
    );
    await listener.finished;
    expect(seen).toEqual([1n]);
    expect(work.said).toEqual(["ack 1.1"]);
    expect(await work.leftAfter).toBe(1);
    expect(sent.flatMap(({ requests }) => requests).map(({ correlationId }) => correlationId)).toEqual([
      "",
      "signal-1",
    ]);
  });

  test("goes on when the acknowledgement of an answered request is not taken: it is heard again", async () => {
    const work = scriptedWork([[1, 2]], ({ deliveryId }) =>
      deliveryId === "1.1" ? refused("ACK_EXPIRED", "gone") : {},
    );
    await using scripted = await connectScripted(requesting(work, []));
    const answer = () => ({ messageType: "answer" });
    const listener = scripted.session.onRequest(answer, { subscription: "asked", maxConcurrent: 1 });
    await work.saidSoMuch(2);
    expect(work.said).toEqual(["ack 1.1", "ack 2.1"]);
    await listener.close();
    await listener.finished;
  });

  test("tells whoever wants to know of an acknowledgement that is not taken", async () => {
    const work = scriptedWork([[1, 2]], () => refused("ACK_EXPIRED", "gone"));
    await using scripted = await connectScripted(requesting(work, []));
    const told: unknown[] = [];
    const onError = (error: unknown, request: IncomingRequest | undefined) => {
      told.push([request?.sequence, error]);
      if (request?.sequence === 2n) throw error;
    };
    const options = { subscription: "asked", maxConcurrent: 1, onError };
    const listener = scripted.session.onRequest(() => undefined, options);
    await expect(listener.finished).rejects.toBeInstanceOf(AckExpiredError);
    expect(told).toMatchObject([
      [1n, { name: "AckExpiredError" }],
      [2n, { name: "AckExpiredError" }],
      [undefined, { name: "AckExpiredError" }],
    ]);
  });

  test("takes a request for answered that has another reply of its agent: a handler need not say the same twice", async () => {
    const work = scriptedWork([[1]]);
    const script = requesting(work, []);
    const reused = contractStatus({ code: Code.InvalidArgument, reason: "REQUEST_ID_REUSED" });
    await using scripted = await connectScripted({
      signals: {
        ...script.signals,
        batchSendSignals: ({ requests }) => ({
          results: requests.map(() => ({ result: { case: "error", value: reused } })),
        }),
      },
    });
    await using listener = scripted.session.onRequest(() => ({ messageType: "said otherwise" }), { subscription: "a" });
    await listener.ready();
    await work.saidSoMuch(1);
    expect(work.said).toEqual(["ack 1.1"]);
  });

  test("refuses acknowledgements without a name", async () => {
    await using scripted = await connectScripted({});
    const listen = () => scripted.session.onRequest(() => undefined, { ack: {} });
    expect(listen).toThrow(InvalidRequestError);
  });
});

describe("session.onRequest", () => {
  test.each(["session", "client"])("replies to what its handlers are at when its %s is closed", async (what) => {
    const sent: BatchSendSignalsRequest[] = [];
    await using scripted = await connectScripted({
      signals: {
        async *subscribe(_, context) {
          yield subscribed(1);
          yield askingForReplies(batch(0, 1, [1]));
          await clientLeft(context);
        },
        batchSendSignals: (request) => {
          sent.push(request);
          return storeAll(request);
        },
      },
    });
    const started = createLatch();
    const gate = createLatch();
    const listener = scripted.session.onRequest(async () => {
      started.open();
      await gate.promise;
      return { messageType: "answer" };
    });
    await started.promise;
    const closed = what === "client" ? scripted.client.close() : scripted.session[Symbol.asyncDispose]();
    await expect(scripted.session.message({ messageType: "late" })).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
    gate.open();
    await closed;
    await listener.finished;
    expect(sent.flatMap(({ requests }) => requests)).toMatchObject([{ correlationId: "signal-1" }]);
  });

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
