import { setImmediate } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createHandlerContext } from "@connectrpc/connect";
import {
  SignalService,
  StreamSignalsRequestSchema,
  type StreamSignalsResponse,
  StreamSignalsResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { createLogger } from "../../../../server/src/logger.js";
import { FilterExpressionCompiler } from "../../../../server/src/model/filter-expression.js";
import { maxStreamBatches } from "../../../../server/src/model/limits.js";
import { streamSignals } from "../../../../server/src/rpc/stream-signals.js";
import { RequestValidator } from "../../../../server/src/rpc/validate-request.js";
import { MemorySignalStore } from "../../../../server/src/store/memory/memory-signal-store.js";
import { CoordinatorUnderTest } from "../../../support/coordinator-under-test.js";
import { deferred } from "../../../support/deferred.js";
import { ObservedStore } from "../../../support/observed-store.js";
import { note } from "../../../support/sample-signals.js";

/** Lets everything happen that does not wait for the test. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await setImmediate();
}

/** A stream of batches of one signal each, and how many of them the server has taken. */
function requestsOf(count: number) {
  const state = { taken: 0 };
  async function* requests() {
    while (state.taken < count) {
      state.taken += 1;
      yield create(StreamSignalsRequestSchema, { batch: { requests: [note("c", `${state.taken}`)] } });
    }
  }
  return { state, requests: requests() };
}

function openStream(subject: CoordinatorUnderTest, requests: Parameters<typeof streamSignals>[1]) {
  const { coordinator, metrics } = subject;
  const abort = new AbortController();
  const context = createHandlerContext({
    service: SignalService,
    method: SignalService.method.streamSignals,
    protocolName: "grpc",
    requestMethod: "POST",
    url: "http://localhost/",
    requestSignal: abort.signal,
  });
  const dependencies = {
    coordinator,
    metrics,
    validator: new RequestValidator(),
    expressions: new FilterExpressionCompiler(),
    compileTransform: () => undefined,
    logger: createLogger({ logLevel: "silent", logFormat: "json" }, { write: () => undefined }),
  };
  return { abort, answers: streamSignals(dependencies, requests, context) };
}

function sequenceOf(answer: IteratorResult<StreamSignalsResponse, unknown>): bigint | undefined {
  if (answer.done === true) return undefined;
  // The answer carries its results as the bytes that go out.
  const bytes = toBinary(StreamSignalsResponseSchema, answer.value);
  const result = fromBinary(StreamSignalsResponseSchema, bytes).batch?.results[0]?.result;
  return result?.case === "response" ? result.value.sequence : undefined;
}

describe("streamSignals", () => {
  test("begins batches while one is on its way to the disk, and takes no more than it may begin", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ store });
    const held = deferred();
    store.hooks = { beforeCommit: () => held.promise };
    const { state, requests } = requestsOf(3 * maxStreamBatches);
    const { answers } = openStream(subject, requests);
    const first = answers.next();
    await turns();
    // One more is in the hand of the reader, which waits for room.
    expect(state.taken).toBe(maxStreamBatches + 1);
    held.resolve();
    expect(sequenceOf(await first)).toBe(1n);
    await turns();
    // One answer was taken, and with it one batch more; the answers behind it wait until somebody takes them.
    expect(state.taken).toBe(maxStreamBatches + 2);
    for (let sequence = 2n; sequence <= 3n * BigInt(maxStreamBatches); sequence += 1n) {
      expect(sequenceOf(await answers.next())).toBe(sequence);
    }
    expect(await answers.next()).toMatchObject({ done: true });
    expect(store.counts.commits).toBeLessThan(3 * maxStreamBatches);
  });

  test("ends at once when its client leaves while nothing is on its way", async () => {
    await using subject = new CoordinatorUnderTest();
    const never = deferred();
    async function* requests() {
      await never.promise;
      yield* [];
    }
    const { abort, answers } = openStream(subject, requests());
    const next = answers.next();
    await turns();
    abort.abort(new Error("client has left"));
    await expect(next).rejects.toThrow("client has left");
    never.resolve();
  });

  test("refuses batches that come while the server shuts down", async () => {
    const store = new ObservedStore(new MemorySignalStore());
    await using subject = new CoordinatorUnderTest({ store });
    const held = deferred();
    store.hooks = { beforeCommit: () => held.promise };
    const more = deferred();
    async function* requests() {
      yield create(StreamSignalsRequestSchema, { batch: { requests: [note("c", "1")] } });
      await more.promise;
      yield create(StreamSignalsRequestSchema, { batch: { requests: [note("c", "2")] } });
    }
    const { answers } = openStream(subject, requests());
    const first = answers.next();
    await turns();
    subject.coordinator.drain();
    more.resolve();
    await turns();
    held.resolve();
    expect(sequenceOf(await first)).toBe(1n);
    await expect(answers.next()).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
    expect((await subject.header()).headSequence).toBe(1n);
  });
});
