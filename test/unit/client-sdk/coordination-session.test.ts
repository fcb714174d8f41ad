import { Code } from "@connectrpc/connect";
import type { BatchSendSignalsRequest } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import {
  CancelledError,
  InvalidRequestError,
  PreconditionError,
  UnavailableError,
} from "../../../client-sdk/src/index.js";
import { contractError, contractStatus } from "./support/contract-errors.js";
import { endOfTurn } from "./support/end-of-turn.js";
import { createLatch } from "./support/latch.js";
import { connectScripted } from "./support/scripted-client.js";
import { epoch, storeAll, stored } from "./support/scripted-log.js";
import { clientLeft, type Script } from "./support/scripted-server.js";

/** Stores everything, and keeps the requests. */
function storing(requests: BatchSendSignalsRequest[] = []): Script {
  let next = 1;
  return {
    signals: {
      batchSendSignals: (request) => {
        requests.push(request);
        const response = storeAll(request, next);
        next += request.requests.length;
        return response;
      },
    },
  };
}

describe("CoordinationSession's sends", () => {
  test("carry all fields of the four signals", async () => {
    const requests: BatchSendSignalsRequest[] = [];
    await using scripted = await connectScripted(storing(requests));
    const { session } = scripted;
    await Promise.all([
      session.initialized({ capabilities: ["typescript"], ready: true, initializationTimeMs: 12.5 }),
      session.completed({
        resultSummary: "5 models",
        qualityScore: 0.95,
        executionTimeMs: 1_200,
        artifactsGenerated: ["user.ts"],
        error: "none really",
      }),
      session.dependencyResolved({
        dependencyType: "model",
        dependencyId: "UserModel",
        resolutionData: { path: "user.ts", fields: [1, null, true] },
      }),
      session.message({
        messageType: "request",
        message: "please",
        requiresResponse: true,
        responseTimeoutMs: 5_000,
        payload: { what: { deep: "validator" } },
      }),
    ]);
    expect(requests[0]?.requests).toMatchObject([
      {
        coordinationId: "c",
        senderAgentId: "agent",
        event: {
          case: "agentInitialized",
          value: { capabilities: ["typescript"], ready: true, initializationTimeMs: 12.5 },
        },
      },
      {
        event: {
          case: "agentCompleted",
          value: {
            resultSummary: "5 models",
            qualityScore: 0.95,
            executionTimeMs: 1_200,
            artifactsGenerated: ["user.ts"],
            error: "none really",
          },
        },
      },
      {
        event: {
          case: "dependencyResolved",
          value: {
            dependencyType: "model",
            dependencyId: "UserModel",
            resolutionData: { path: "user.ts", fields: [1, null, true] },
          },
        },
      },
      {
        event: {
          case: "interAgentMessage",
          value: {
            messageType: "request",
            message: "please",
            requiresResponse: true,
            responseTimeoutMs: 5_000,
            payload: { what: { deep: "validator" } },
          },
        },
      },
    ]);
  });

  test("carry what their options say, and a new request id where there is none", async () => {
    const requests: BatchSendSignalsRequest[] = [];
    await using scripted = await connectScripted(storing(requests));
    const options = {
      recipients: ["a", "b"],
      priority: "control",
      correlationId: "signal-1",
      metadata: { key: "value" },
      requestId: "my request",
      expectedSequence: 0n,
    } as const;
    await scripted.session.completed({}, options);
    await scripted.session.completed({ error: undefined }, { priority: undefined });
    const [first, second] = requests.flatMap((request) => request.requests);
    expect(first).toMatchObject({
      recipientAgentIds: ["a", "b"],
      priority: 4,
      correlationId: "signal-1",
      metadata: { key: "value" },
      requestId: "my request",
      expectedSequence: 0n,
    });
    expect(second?.requestId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(second?.expectedSequence).toBeUndefined();
  });

  test("answer with where the signal was stored", async () => {
    await using scripted = await connectScripted(storing());
    expect(await scripted.session.initialized()).toEqual({
      signalId: "signal-1",
      sequence: 1n,
      timestamp: new Date(1_000),
      deduplicated: false,
      epoch,
    });
  });

  test("coalesce while one is in flight, over a real connection", async () => {
    const requests: BatchSendSignalsRequest[] = [];
    const first = createLatch();
    await using scripted = await connectScripted({
      signals: {
        batchSendSignals: async (request) => {
          requests.push(request);
          if (requests.length === 1) await first.promise;
          return storeAll(request, requests.length === 1 ? 1 : 2);
        },
      },
    });
    const note = (message: string) => scripted.session.message({ messageType: "note", message });
    const sent = [note("a")];
    await endOfTurn();
    for (let index = 0; index < 50; index += 1) sent.push(note(`${index}`));
    first.open();
    expect((await Promise.all(sent)).map(({ sequence }) => Number(sequence))).toEqual(
      Array.from({ length: 51 }, (_, index) => index + 1),
    );
    expect(requests.map((request) => request.requests.length)).toEqual([1, 50]);
  });

  test("one bad send does not fail the sends it was coalesced with", async () => {
    await using scripted = await connectScripted({
      signals: {
        batchSendSignals: ({ requests }) => ({
          results: requests.map(({ correlationId }, index) =>
            correlationId === "bad"
              ? {
                  result: {
                    case: "error",
                    value: contractStatus({ code: Code.FailedPrecondition, reason: "COORDINATION_CLOSED" }),
                  },
                }
              : stored(index + 1),
          ),
        }),
      },
    });
    const { session } = scripted;
    const notEncodable = session.message({ messageType: "note", payload: { value: Number.NaN } });
    const tooLarge = session.message({ messageType: "note", message: "x".repeat(256 * 1024) });
    const wrongPriority = session.completed({}, { priority: "urgent" as "high" });
    const refused = session.completed({}, { correlationId: "bad" });
    const good = [session.initialized(), session.completed()];
    await expect(notEncodable).rejects.toThrow(InvalidRequestError);
    await expect(tooLarge).rejects.toMatchObject({
      reason: "SIGNAL_TOO_LARGE",
      message: expect.stringContaining("limit is 262144"),
    });
    await expect(wrongPriority).rejects.toThrow(InvalidRequestError);
    await expect(refused).rejects.toThrow(PreconditionError);
    expect(await Promise.all(good)).toHaveLength(2);
  });

  test("are repeated with the same request id when the connection is cut, and so stored once", async () => {
    const requestIds: string[] = [];
    const cut = createLatch();
    await using scripted = await connectScripted({
      signals: {
        batchSendSignals: async (request, context) => {
          requestIds.push(...request.requests.map(({ requestId }) => requestId));
          if (requestIds.length === 1) {
            cut.open();
            await clientLeft(context);
          }
          return storeAll(request);
        },
      },
    });
    const sent = scripted.session.initialized();
    await cut.promise;
    scripted.server.cut();
    await sent;
    expect(requestIds).toHaveLength(2);
    expect(new Set(requestIds).size).toBe(1);
  });

  test("fail when the server stays away", async () => {
    await using scripted = await connectScripted({}, { retry: { maxAttempts: 2, initialDelayMs: 1 } });
    await scripted.server.stop();
    const error = await scripted.session.initialized().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnavailableError);
    expect(error).toMatchObject({ reason: "CONNECTION_LOST", code: "UNAVAILABLE", retryable: true });
  });

  test("fail when the answer has too few results or an empty one", async () => {
    await using scripted = await connectScripted({ signals: { batchSendSignals: () => ({ results: [] }) } });
    await expect(scripted.session.initialized()).rejects.toMatchObject({ reason: "UNEXPECTED_RESPONSE" });
    await using other = await connectScripted({ signals: { batchSendSignals: () => ({ results: [{}] }) } });
    await expect(other.session.initialized()).rejects.toMatchObject({ reason: "UNEXPECTED_RESPONSE" });
    const results = [{ result: { case: "response" as const, value: { signalId: "s" } } }];
    await using third = await connectScripted({ signals: { batchSendSignals: () => ({ results }) } });
    await expect(third.session.initialized()).rejects.toMatchObject({ reason: "UNEXPECTED_RESPONSE" });
  });
});

describe("CoordinationSession.sendAtomic", () => {
  const note = { event: { case: "interAgentMessage", value: { messageType: "note" } } } as const;

  test("sends one batch and answers in its order", async () => {
    const requests: BatchSendSignalsRequest[] = [];
    await using scripted = await connectScripted(storing(requests));
    const results = await scripted.session.sendAtomic([note, { ...note, recipients: ["a"], requestId: "second" }]);
    expect(results.map(({ sequence }) => sequence)).toEqual([1n, 2n]);
    expect(requests).toMatchObject([
      { atomic: true, requests: [{ recipientAgentIds: [] }, { recipientAgentIds: ["a"], requestId: "second" }] },
    ]);
  });

  test("refuses a batch that cannot be one", async () => {
    await using scripted = await connectScripted({});
    const { session } = scripted;
    await expect(session.sendAtomic([])).rejects.toThrow(InvalidRequestError);
    await expect(session.sendAtomic(Array.from({ length: 1_001 }, () => note))).rejects.toThrow(InvalidRequestError);
    const large = {
      event: { case: "interAgentMessage", value: { messageType: "note", message: "x".repeat(250_000) } },
    } as const;
    await expect(session.sendAtomic(Array.from({ length: 17 }, () => large))).rejects.toMatchObject({
      reason: "SIGNAL_TOO_LARGE",
    });
  });

  test("fails as a whole, naming the signal at fault", async () => {
    await using scripted = await connectScripted({
      signals: {
        batchSendSignals: () => {
          throw contractError({
            code: Code.FailedPrecondition,
            reason: "COORDINATION_CLOSED",
            metadata: { index: "1" },
          });
        },
      },
    });
    await expect(scripted.session.sendAtomic([note, note])).rejects.toMatchObject({ metadata: { index: "1" } });
  });
});

describe("CoordinationSession's end", () => {
  test("waits for the answers of its sends and takes no more", async () => {
    await using scripted = await connectScripted(storing());
    const sent = scripted.session.initialized();
    await scripted.session[Symbol.asyncDispose]();
    expect((await sent).sequence).toBe(1n);
    await expect(scripted.session.completed()).rejects.toThrow(CancelledError);
    await expect(scripted.session.metrics()).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
    expect(() => scripted.session.subscribe()).toThrow(CancelledError);
  });

  test("flush() waits for what was sent", async () => {
    await using scripted = await connectScripted(storing());
    const sent = scripted.session.initialized();
    await scripted.session.flush();
    expect(await Promise.race([sent, Promise.resolve("pending")])).toMatchObject({ sequence: 1n });
  });
});
