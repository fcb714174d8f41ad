import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "@jest/globals";
import { retryPolicyFrom } from "../../../../client-sdk/src/calls/retry-policy.js";
import {
  CancelledError,
  ConflictError,
  InternalError,
  InvalidRequestError,
  OverloadedError,
  PreconditionError,
  UnavailableError,
} from "../../../../client-sdk/src/errors/coordination-client-error.js";
import { OpenResources } from "../../../../client-sdk/src/open-resources.js";
import { DeliverAgainError } from "../../../../client-sdk/src/sending/deliver-again-error.js";
import { encodeSend } from "../../../../client-sdk/src/sending/encode-send.js";
import { SignalSender, type SignalSenderOptions } from "../../../../client-sdk/src/sending/signal-sender.js";
import { contractError } from "../support/contract-errors.js";
import { ManualClock } from "../support/manual-clock.js";
import { ManualPipeline } from "../support/manual-pipeline.js";

const sender = { coordinationId: "c", agentId: "agent" };
const unavailable = { code: Code.Unavailable, reason: "SHUTTING_DOWN" };
const closed = { code: Code.FailedPrecondition, reason: "COORDINATION_CLOSED" };
/** The first delay of the default policy, at its least jitter, in milliseconds. */
const firstDelayMs = 50;

function encoded(text: string) {
  return encodeSend(sender, { event: { case: "interAgentMessage", value: { messageType: "note", message: text } } });
}

function createSender(options: Partial<SignalSenderOptions> & { readonly pipeline?: ManualPipeline } = {}) {
  const pipeline = options.pipeline ?? new ManualPipeline();
  const clock = new ManualClock();
  const open = new OpenResources();
  const signalSender = new SignalSender({
    retry: retryPolicyFrom(),
    clock,
    maxQueuedSignals: 100,
    maxQueuedBytes: 100_000,
    closeTimeoutMs: 1_000,
    open,
    ...options,
    pipeline,
  });
  const send = async (text: string, signal?: AbortSignal) => {
    const { signalId } = await signalSender.send(encoded(text), signal);
    return signalId;
  };
  const sendAtomic = (texts: readonly string[]) => signalSender.sendAtomic(texts.map(encoded), undefined);
  return { pipeline, clock, open, sender: signalSender, send, sendAtomic };
}

describe("SignalSender's batches", () => {
  test("hold what was sent in one go", async () => {
    const { pipeline, send } = createSender();
    const sent = [send("a"), send("b"), send("c")];
    const first = await pipeline.batch(0);
    expect(first).toMatchObject({ texts: ["a", "b", "c"], atomic: false });
    first.answer();
    expect(await Promise.all(sent)).toEqual(["stored a", "stored b", "stored c"]);
  });

  test("hold what was sent while one was in flight, in order", async () => {
    const { pipeline, send } = createSender();
    const sent = [send("a")];
    const first = await pipeline.batch(0);
    sent.push(send("b"));
    await Promise.resolve();
    sent.push(send("c"));
    expect(pipeline.batches).toHaveLength(1);
    first.answer();
    const second = await pipeline.batch(1);
    expect(second.texts).toEqual(["b", "c"]);
    second.answer();
    await Promise.all(sent);
  });

  test.each([
    [1_000, [1_000, 1_000, 500]],
    [900, [900, 900, 700]],
  ])("are at most as many signals as the pipeline takes, %d", async (maxSignals, sizes) => {
    const pipeline = new ManualPipeline(1, maxSignals);
    const { send } = createSender({ pipeline, maxQueuedSignals: 3_000, maxQueuedBytes: 10_000_000 });
    const sent = Array.from({ length: 2_500 }, (_, index) => send(`${index}`));
    for (let number = 0; number < 3; number += 1) (await pipeline.batch(number)).answer();
    await Promise.all(sent);
    expect(pipeline.batches.map(({ texts }) => texts.length)).toEqual(sizes);
    expect(pipeline.batches.flatMap(({ texts }) => texts)).toEqual(
      Array.from({ length: 2_500 }, (_, index) => `${index}`),
    );
  });

  test("stay below the server's 4 MiB", async () => {
    const { pipeline, send } = createSender({ maxQueuedBytes: 10_000_000 });
    const sent = Array.from({ length: 25 }, () => send("x".repeat(200_000)));
    for (let number = 0; number < 2; number += 1) (await pipeline.batch(number)).answer();
    await Promise.all(sent);
    expect(pipeline.batches.map(({ texts }) => texts.length)).toEqual([20, 5]);
  });

  test("keep an atomic one to itself, in its place", async () => {
    const { pipeline, send, sendAtomic } = createSender();
    const sent = [send("a"), sendAtomic(["b", "c"]), send("d")];
    for (let number = 0; number < 3; number += 1) (await pipeline.batch(number)).answer();
    await Promise.all(sent);
    expect(pipeline.batches).toMatchObject([
      { texts: ["a"], atomic: false },
      { texts: ["b", "c"], atomic: true },
      { texts: ["d"], atomic: false },
    ]);
  });

  test("are in flight together as far as the pipeline keeps their order", async () => {
    const { pipeline, send } = createSender({ pipeline: new ManualPipeline(2) });
    const sent: Promise<string>[] = [];
    for (const text of ["a", "b", "c"]) {
      sent.push(send(text));
      await Promise.resolve();
      await Promise.resolve();
    }
    expect(pipeline.batches.map(({ texts }) => texts)).toEqual([["a"], ["b"]]);
    (await pipeline.batch(1)).fail(contractError(unavailable));
    (await pipeline.batch(0)).fail(contractError(unavailable));
    expect(await Promise.race([...sent, Promise.resolve("pending")])).toBe("pending");
  });

  test("are delivered again in order when several in flight fail, after the longest pause, and not before all are back", async () => {
    const { pipeline, clock, send } = createSender({ pipeline: new ManualPipeline(3) });
    const sent: Promise<string>[] = [];
    for (const text of ["a", "b", "c", "d"]) {
      sent.push(send(text));
      await Promise.resolve();
      await Promise.resolve();
    }
    (await pipeline.batch(0)).fail(contractError({ ...unavailable, retryDelayMs: 200 }));
    (await pipeline.batch(1)).fail(new DeliverAgainError("the one before has failed"));
    await clock.timerStarted(firstDelayMs + 200);
    clock.advance(firstDelayMs + 200);
    await Promise.resolve();
    expect(pipeline.batches).toHaveLength(3);
    (await pipeline.batch(2)).answer();
    expect((await pipeline.batch(3)).texts).toEqual(["a", "b", "d"]);
    (await pipeline.batch(3)).answer();
    expect(await Promise.all(sent)).toEqual(["stored a", "stored b", "stored c", "stored d"]);
  });

  test("are delivered again without counting an attempt where another one failed", async () => {
    const { pipeline, clock, send } = createSender({ retry: retryPolicyFrom({ maxAttempts: 1 }) });
    const sent = send("a");
    for (let times = 0; times < 3; times += 1) {
      (await pipeline.batch(times)).fail(new DeliverAgainError("another one has failed"));
      await clock.timerStarted(0);
      clock.advance(0);
    }
    (await pipeline.batch(3)).answer();
    expect(await sent).toBe("stored a");
  });
});

describe("SignalSender's failures", () => {
  test("one bad send does not fail the sends it was coalesced with", async () => {
    const { pipeline, send } = createSender();
    const sent = [send("a"), send("bad"), send("c")];
    (await pipeline.batch(0)).answer({ bad: closed });
    await expect(sent[1]).rejects.toThrow(PreconditionError);
    expect(await Promise.all([sent[0], sent[2]])).toEqual(["stored a", "stored c"]);
    expect(pipeline.batches).toHaveLength(1);
  });

  test("one bad send that fails its whole batch is found and fails alone", async () => {
    const { pipeline, send } = createSender();
    pipeline.answerWith((batch) => {
      if (batch.texts.includes("bad"))
        batch.fail(contractError({ code: Code.InvalidArgument, reason: "INVALID_REQUEST" }));
      else batch.answer();
    });
    const sent = ["a", "b", "bad", "d", "e"].map((text) => send(text));
    const statuses = (await Promise.allSettled(sent)).map(({ status }) => status);
    expect(statuses).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled", "fulfilled"]);
    await expect(sent[2]).rejects.toThrow(InvalidRequestError);
    const storing = pipeline.batches.filter(({ texts }) => !texts.includes("bad"));
    expect(storing.flatMap(({ texts }) => texts)).toEqual(["a", "b", "d", "e"]);
  });

  test("name what is wrong with each send", async () => {
    const { pipeline, send } = createSender();
    const sent = [send("a"), send("b")];
    const conflict = {
      code: Code.Aborted,
      reason: "SEQUENCE_CONFLICT",
      message: "head is 7",
      metadata: { head_sequence: "7" },
    };
    (await pipeline.batch(0)).answer({ a: conflict, b: closed });
    await expect(sent[0]).rejects.toThrow(ConflictError);
    await expect(sent[0]).rejects.toMatchObject({
      reason: "SEQUENCE_CONFLICT",
      message: "head is 7",
      headSequence: 7n,
    });
    await expect(sent[1]).rejects.toMatchObject({ reason: "COORDINATION_CLOSED" });
  });

  test("of an atomic batch are the batch's", async () => {
    const { pipeline, sendAtomic } = createSender();
    const sent = sendAtomic(["a", "b"]);
    (await pipeline.batch(0)).fail(contractError({ ...closed, metadata: { index: "1" } }));
    await expect(sent).rejects.toMatchObject({ reason: "COORDINATION_CLOSED", metadata: { index: "1" } });
    expect(pipeline.batches).toHaveLength(1);
  });
});

describe("SignalSender's repetitions", () => {
  test("carry the same request ids, before what was sent later", async () => {
    const { pipeline, clock, send } = createSender();
    const sent = [send("a"), send("b")];
    const first = await pipeline.batch(0);
    sent.push(send("c"));
    first.fail(contractError(unavailable));
    await clock.timerStarted(firstDelayMs);
    expect(pipeline.batches).toHaveLength(1);
    clock.advance(firstDelayMs);
    const second = await pipeline.batch(1);
    expect(second.texts).toEqual(["a", "b", "c"]);
    expect(second.requests.slice(0, 2)).toEqual(first.requests);
    expect(new Set(second.requests.map(({ requestId }) => requestId)).size).toBe(3);
    second.answer();
    await Promise.all(sent);
  });

  test("concern single sends too, and nothing overtakes them", async () => {
    const { pipeline, clock, send } = createSender();
    const sent = [send("a"), send("b"), send("c")];
    (await pipeline.batch(0)).answer({
      b: { code: Code.ResourceExhausted, reason: "SEND_QUEUE_FULL", retryDelayMs: 500 },
    });
    await clock.timerStarted(firstDelayMs + 500);
    sent.push(send("d"));
    clock.advance(firstDelayMs + 500);
    const second = await pipeline.batch(1);
    expect(second.texts).toEqual(["b", "d"]);
    second.answer();
    await Promise.all(sent);
  });

  test("do not follow an error that says nothing of coming back", async () => {
    const { pipeline, send } = createSender();
    const sent = send("a");
    (await pipeline.batch(0)).answer({ a: { code: Code.ResourceExhausted, reason: "RATE_LIMITED" } });
    await expect(sent).rejects.toThrow(OverloadedError);
  });

  test("end with the attempts allowed", async () => {
    const { pipeline, clock, send } = createSender({ retry: retryPolicyFrom({ maxAttempts: 2 }) });
    const sent = send("a");
    (await pipeline.batch(0)).fail(contractError(unavailable));
    await clock.timerStarted(firstDelayMs);
    clock.advance(firstDelayMs);
    (await pipeline.batch(1)).fail(contractError(unavailable));
    await expect(sent).rejects.toThrow(UnavailableError);
  });

  test("end with the time allowed", async () => {
    const { pipeline, send } = createSender({ retry: retryPolicyFrom({ maxElapsedMs: 10 }) });
    const sent = send("a");
    (await pipeline.batch(0)).fail(contractError(unavailable));
    await expect(sent).rejects.toMatchObject({ reason: "SHUTTING_DOWN", retryable: true });
  });

  test("of several batches in flight keep the order of the sends", async () => {
    const { pipeline, clock, send } = createSender({ pipeline: new ManualPipeline(2) });
    const sent = [send("a")];
    await pipeline.batch(0);
    sent.push(send("b"));
    (await pipeline.batch(1)).fail(contractError(unavailable));
    (await pipeline.batch(0)).fail(contractError(unavailable));
    sent.push(send("c"));
    await clock.timerStarted(firstDelayMs);
    clock.advance(firstDelayMs);
    const third = await pipeline.batch(2);
    expect(third.texts).toEqual(["a", "b", "c"]);
    third.answer();
    await Promise.all(sent);
  });
});

describe("SignalSender.send with an AbortSignal", () => {
  test("takes back a send that waits", async () => {
    const { pipeline, send } = createSender();
    const first = send("a");
    await pipeline.batch(0);
    const controller = new AbortController();
    const sent = [first, send("b", controller.signal), send("c")];
    controller.abort("changed my mind");
    await expect(sent[1]).rejects.toThrow(CancelledError);
    await expect(sent[1]).rejects.toMatchObject({ reason: "CANCELLED", cause: "changed my mind" });
    (await pipeline.batch(0)).answer();
    const second = await pipeline.batch(1);
    expect(second.texts).toEqual(["c"]);
    second.answer();
    await Promise.all([sent[0], sent[2]]);
  });

  test("gives up a send in flight without harm to its neighbours", async () => {
    const { pipeline, send } = createSender();
    const controller = new AbortController();
    const sent = [send("a", controller.signal), send("b")];
    const batch = await pipeline.batch(0);
    controller.abort();
    await expect(sent[0]).rejects.toThrow(CancelledError);
    expect(batch.signal.aborted).toBe(false);
    batch.answer();
    expect(await sent[1]).toBe("stored b");
  });

  test("gives up a call of whose sends nobody wants an answer any more", async () => {
    const { pipeline, send } = createSender();
    const controller = new AbortController();
    const sent = [send("a", controller.signal), send("b", controller.signal)];
    const batch = await pipeline.batch(0);
    controller.abort();
    await Promise.allSettled(sent);
    expect(batch.signal.aborted).toBe(true);
    batch.fail(batch.signal.reason);
  });

  test("takes back a send that waits to be repeated", async () => {
    const { pipeline, clock, send } = createSender();
    const controller = new AbortController();
    const sent = [send("a", controller.signal), send("b")];
    (await pipeline.batch(0)).fail(contractError(unavailable));
    await clock.timerStarted(firstDelayMs);
    controller.abort();
    await expect(sent[0]).rejects.toThrow(CancelledError);
    clock.advance(firstDelayMs);
    const second = await pipeline.batch(1);
    expect(second.texts).toEqual(["b"]);
    second.answer();
    await sent[1];
  });

  test("refuses at once when it was aborted before", async () => {
    const { pipeline, send } = createSender();
    await expect(send("a", AbortSignal.abort())).rejects.toThrow(CancelledError);
    expect(pipeline.batches).toHaveLength(0);
  });
});

describe("SignalSender's bounds", () => {
  test("refuse more signals than may wait", async () => {
    const { pipeline, send } = createSender({ maxQueuedSignals: 2 });
    const sent = [send("a"), send("b")];
    await expect(send("c")).rejects.toThrow(OverloadedError);
    await expect(send("c")).rejects.toMatchObject({
      reason: "SEND_QUEUE_FULL",
      retryable: true,
      message: expect.stringContaining("3 signals"),
    });
    (await pipeline.batch(0)).answer();
    await Promise.all(sent);
    const later = send("c");
    (await pipeline.batch(1)).answer();
    expect(await later).toBe("stored c");
  });

  test("refuse more bytes than may wait", async () => {
    const { pipeline, send } = createSender({ maxQueuedBytes: 1_000 });
    const sent = send("x".repeat(600));
    await expect(send("y".repeat(600))).rejects.toMatchObject({ reason: "SEND_QUEUE_FULL" });
    (await pipeline.batch(0)).answer();
    await sent;
  });

  test("let a single send through that is larger than they are", async () => {
    const { pipeline, send } = createSender({ maxQueuedBytes: 1_000 });
    const sent = send("x".repeat(2_000));
    (await pipeline.batch(0)).answer();
    await sent;
  });
});

describe("SignalSender.close", () => {
  test("waits for the answers of what was sent", async () => {
    const { pipeline, open, sender, send, clock } = createSender();
    const sent = send("a");
    expect(open.size).toBe(1);
    const closing = sender.close();
    await expect(send("b")).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
    (await pipeline.batch(0)).answer();
    await closing;
    expect(await sent).toBe("stored a");
    expect([open.size, clock.delaysMs()]).toEqual([0, []]);
  });

  test("fails what is not answered in time", async () => {
    const { pipeline, clock, open, sender, send } = createSender();
    const sent = [send("a")];
    const batch = await pipeline.batch(0);
    sent.push(send("b"));
    const settled = Promise.allSettled(sent);
    const closing = sender.close();
    clock.advance(1_000);
    expect((await settled).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await closing;
    expect(batch.signal.aborted).toBe(true);
    batch.fail(batch.signal.reason);
    expect([open.size, clock.delaysMs()]).toEqual([0, []]);
  });

  test.each(["a send", "nothing"])(
    "takes what came of work that it waits for, and gives it as long, after %s",
    async (before) => {
      const { pipeline, clock, open, sender, send } = createSender();
      if (before === "a send") {
        const sent = send("a");
        const closing = sender.close();
        (await pipeline.batch(0)).answer();
        await Promise.all([sent, closing]);
      }
      const last = sender.sendLast(encoded("b"));
      const rejected = expect(last).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
      await expect(send("c")).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
      await pipeline.batch(before === "a send" ? 1 : 0);
      expect(clock.delaysMs()).toEqual([1_000]);
      clock.advance(1_000);
      await rejected;
      expect([open.size, clock.delaysMs()]).toEqual([0, []]);
    },
  );

  test("fails what waits to be repeated when its time is over", async () => {
    const { pipeline, clock, sender, send } = createSender({ retry: retryPolicyFrom({ initialDelayMs: 10_000 }) });
    const sent = send("a");
    (await pipeline.batch(0)).fail(contractError(unavailable));
    const rejected = expect(sent).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
    const closing = sender.close();
    clock.advance(1_000);
    await rejected;
    await closing;
    expect(clock.delaysMs()).toEqual([]);
  });
});

describe("SignalSender.flush", () => {
  test("waits for every send so far, well or not", async () => {
    const { pipeline, sender, send } = createSender();
    const settled = Promise.allSettled([send("a"), send("b")]);
    const flushed = sender.flush();
    (await pipeline.batch(0)).answer({ b: closed });
    await flushed;
    expect((await settled).map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });
});

describe("SignalSender with a server that answers nonsense", () => {
  test("fails the send whose result is empty", async () => {
    const { pipeline, send } = createSender();
    const sent = send("a");
    const batch = await pipeline.batch(0);
    batch.fail(new InternalError({ message: "nonsense", reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" }));
    await expect(sent).rejects.toThrow(InternalError);
  });
});
