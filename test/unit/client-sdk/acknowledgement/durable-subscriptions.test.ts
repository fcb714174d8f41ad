import { Code } from "@connectrpc/connect";
import { AckMode, DeadLetterReason } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import type {
  CreateSubscriptionRequest,
  ListDeadLettersRequest,
  RedriveDeadLettersRequest,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import {
  InternalError,
  InvalidRequestError,
  NotFoundError,
  UnavailableError,
} from "../../../../client-sdk/src/index.js";
import { contractError } from "../support/contract-errors.js";
import { connectScripted } from "../support/scripted-client.js";

describe("durable subscriptions", () => {
  test("are made with what their options say", async () => {
    const requests: CreateSubscriptionRequest[] = [];
    await using scripted = await connectScripted({
      signals: {
        createSubscription: (request) => {
          requests.push(request);
          return { subscription: { subscription: request.subscription, outstandingCount: 3n } };
        },
      },
    });
    const made = await scripted.session.createSubscription({
      subscription: "work",
      types: ["agentCompleted"],
      from: { afterSequence: 7n },
      includeOwn: true,
      ack: { maxOutstanding: 5 },
      timeoutMs: 5_000,
    });
    expect(made).toMatchObject({ subscription: "work", outstandingCount: 3n });
    await scripted.client.coordination("c").createSubscription({ subscription: "all" });
    expect(requests).toMatchObject([
      {
        coordinationId: "c",
        agentId: "agent",
        subscription: "work",
        start: { case: "afterSequence", value: 7n },
        includeOwn: true,
        filter: { signalTypes: [2] },
        ackPolicy: { mode: AckMode.EXPLICIT, maxOutstanding: 5 },
      },
      { agentId: "", subscription: "all", start: { case: undefined }, ackPolicy: { mode: AckMode.EXPLICIT } },
    ]);
    const bad = scripted.session.createSubscription({ subscription: "work", idleTimeoutMs: 5 } as never);
    await expect(bad).rejects.toBeInstanceOf(InvalidRequestError);
  });

  test("are listed by page and one by one, and removed once however often that is asked", async () => {
    const asked: unknown[] = [];
    let removals = 0;
    await using scripted = await connectScripted({
      signals: {
        createSubscription: () => ({}),
        listSubscriptions: ({ pageSize, pageToken }) => {
          asked.push([pageSize, pageToken]);
          const subscription = pageToken === "" ? "a" : "b";
          return { subscriptions: [{ subscription }], nextPageToken: pageToken === "" ? "more" : "" };
        },
        deleteSubscription: ({ subscription }) => {
          removals += 1;
          if (removals === 1) throw contractError({ code: Code.Unavailable, reason: "SHUTTING_DOWN" });
          throw contractError({ code: Code.NotFound, reason: "SUBSCRIPTION_NOT_FOUND", message: subscription });
        },
      },
    });
    const names: string[] = [];
    for await (const { subscription } of scripted.session.subscriptions({ pageSize: 1 })) names.push(subscription);
    expect(names).toEqual(["a", "b"]);
    expect(asked).toEqual([
      [1, ""],
      [1, "more"],
    ]);
    const page = await scripted.session.listSubscriptions({ pageToken: "more" });
    expect(page).toMatchObject({ subscriptions: [{ subscription: "b" }], nextPageToken: undefined });
    await scripted.session.deleteSubscription("a");
    await expect(scripted.session.deleteSubscription("a")).rejects.toBeInstanceOf(NotFoundError);
    await expect(scripted.session.createSubscription({ subscription: "a" })).rejects.toBeInstanceOf(InternalError);
  });
});

describe("dead letters", () => {
  test("are listed by page and one by one", async () => {
    const requests: ListDeadLettersRequest[] = [];
    await using scripted = await connectScripted({
      signals: {
        listDeadLetters: (request) => {
          requests.push(request);
          const sequence = request.pageToken === "" ? 2n : 1n;
          return {
            deadLetters: [{ subscription: "work", sequence, reason: DeadLetterReason.REJECTED, detail: "never" }],
            nextPageToken: request.pageToken === "" ? "more" : "",
            deadLetterCount: 2n,
            droppedCount: 4n,
          };
        },
      },
    });
    const sequences: bigint[] = [];
    for await (const { sequence, detail } of scripted.session.deadLetters({ subscription: "work" })) {
      expect(detail).toBe("never");
      sequences.push(sequence);
    }
    expect(sequences).toEqual([2n, 1n]);
    expect(requests.map(({ subscription, pageToken }) => [subscription, pageToken])).toEqual([
      ["work", ""],
      ["work", "more"],
    ]);
    expect(await scripted.session.listDeadLetters()).toMatchObject({
      deadLetterCount: 2n,
      droppedCount: 4n,
      nextPageToken: "more",
    });
  });

  test("are redriven as asked, all only when nothing is named, and not twice", async () => {
    const requests: RedriveDeadLettersRequest[] = [];
    await using scripted = await connectScripted({
      signals: {
        redriveDeadLetters: (request) => {
          requests.push(request);
          if (request.subscription === "") throw contractError({ code: Code.Unavailable, reason: "SHUTTING_DOWN" });
          return { redrivenCount: BigInt(request.sequences.length) };
        },
      },
    });
    const { session } = scripted;
    expect(await session.redriveDeadLetters({ subscription: "work", sequences: [1n, 2n] })).toBe(2n);
    expect(await session.redriveDeadLetters({ subscription: "work" })).toBe(0n);
    await expect(session.redriveDeadLetters()).rejects.toBeInstanceOf(UnavailableError);
    await expect(session.redriveDeadLetters({ subscription: "work", sequences: [] })).rejects.toThrow(
      "sequences is empty",
    );
    const misspelt = session.redriveDeadLetters({ subscripton: "work" } as never);
    await expect(misspelt).rejects.toBeInstanceOf(InvalidRequestError);
    expect(requests.map(({ sequences }) => sequences)).toEqual([[1n, 2n], [], []]);
  });
});
