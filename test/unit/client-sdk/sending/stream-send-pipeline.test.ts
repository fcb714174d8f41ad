import { Code, type HandlerContext } from "@connectrpc/connect";
import type {
  BatchSendSignalsRequest,
  StreamSignalsRequest,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { createCoordinationClient, InvalidRequestError, TimeoutError } from "../../../../client-sdk/src/index.js";
import { contractError, contractStatus } from "../support/contract-errors.js";
import { endOfTurn } from "../support/end-of-turn.js";
import { createLatch } from "../support/latch.js";
import { ManualClock } from "../support/manual-clock.js";
import { connectReplicas } from "../support/replicas.js";
import { connectScripted } from "../support/scripted-client.js";
import { storeAll } from "../support/scripted-log.js";
import { clientLeft, neverAnswer, type Script, startScriptedServer } from "../support/scripted-server.js";
import { SharedLog } from "../support/shared-log.js";

type Requests = AsyncIterable<StreamSignalsRequest>;

const note = (message: string) => ({ messageType: "note", message });
const shuttingDown = { code: Code.Unavailable, reason: "SHUTTING_DOWN" };

function textsOf({ requests }: BatchSendSignalsRequest): readonly string[] {
  return requests.map(({ event }) => (event.case === "interAgentMessage" ? event.value.message : ""));
}

/** Sends one message per turn, so that each leaves in a batch of its own as long as one may. */
async function sendOneByOne(send: (text: string) => Promise<unknown>, texts: readonly string[]) {
  const sent: Promise<unknown>[] = [];
  for (const text of texts) {
    sent.push(send(text));
    await endOfTurn();
  }
  return sent;
}

/** A server that answers `count` batches and then does something else with the stream. */
function answering(count: number, log: SharedLog, then: (context: HandlerContext) => Promise<unknown>): Script {
  return {
    signals: {
      async *streamSignals(requests: Requests, context: HandlerContext) {
        let answered = 0;
        for await (const { batch } of requests) {
          if (batch === undefined) continue;
          if (answered === count) await then(context);
          answered += 1;
          yield { batch: log.append(batch) };
        }
      },
    },
  };
}

describe("A session over gRPC", () => {
  test("has four batches on their way on one stream, and the rest in the next one", async () => {
    const log = new SharedLog();
    const batches: (readonly string[])[] = [];
    let streams = 0;
    const four = createLatch();
    const go = createLatch();
    await using scripted = await connectScripted({
      signals: {
        async *streamSignals(requests) {
          streams += 1;
          const waiting: BatchSendSignalsRequest[] = [];
          for await (const { batch } of requests) {
            if (batch === undefined) continue;
            batches.push(textsOf(batch));
            waiting.push(batch);
            if (batches.length === 4) four.open();
            if (batches.length < 4) continue;
            await go.promise;
            for (const each of waiting.splice(0)) yield { batch: log.append(each) };
          }
        },
      },
    });
    const texts = ["a", "b", "c", "d", "e", "f"];
    const sent = await sendOneByOne((text) => scripted.session.message(note(text)), texts);
    await four.promise;
    expect(batches).toEqual([["a"], ["b"], ["c"], ["d"]]);
    go.open();
    await Promise.all(sent);
    expect(batches).toEqual([["a"], ["b"], ["c"], ["d"], ["e", "f"]]);
    expect(streams).toBe(1);
  });

  test("has up to 256 signals in a batch, so that both ends work at once", async () => {
    const log = new SharedLog();
    const sizes: number[] = [];
    await using scripted = await connectScripted({
      signals: {
        async *streamSignals(requests) {
          for await (const { batch } of requests) {
            if (batch === undefined) continue;
            sizes.push(batch.requests.length);
            yield { batch: log.append(batch) };
          }
        },
      },
    });
    const texts = Array.from({ length: 600 }, (_, index) => `${index}`);
    await Promise.all(texts.map((text) => scripted.session.message(note(text))));
    expect(sizes).toEqual([256, 256, 88]);
    expect(log.texts).toEqual(texts);
  });

  test("sends what was unanswered again, in its order, when the stream breaks", async () => {
    const log = new SharedLog();
    let streams = 0;
    const texts = Array.from({ length: 12 }, (_, index) => `${index}`);
    let cut: () => void = () => undefined;
    await using scripted = await connectScripted({
      signals: {
        async *streamSignals(requests, context) {
          streams += 1;
          let batches = 0;
          for await (const { batch } of requests) {
            if (batch === undefined) continue;
            batches += 1;
            const answer = log.append(batch);
            // Stored, and nobody is told.
            if (batches === 2 && streams === 1) {
              cut();
              await clientLeft(context);
              return;
            }
            yield { batch: answer };
          }
        },
      },
    });
    cut = scripted.server.cut;
    const sent = await sendOneByOne((text) => scripted.session.message(note(text)), texts);
    await Promise.all(sent);
    expect(log.texts).toEqual(texts);
    expect(streams).toBe(2);
  });

  test("goes to the next server when one shuts down, and repeats there what it has not answered", async () => {
    const log = new SharedLog();
    const draining = answering(1, log, () => Promise.reject(contractError(shuttingDown)));
    await using replicas = await connectReplicas([draining, log.script]);
    const texts = ["a", "b", "c", "d", "e"];
    const sent = await sendOneByOne((text) => replicas.session.message(note(text)), texts);
    await Promise.all(sent);
    expect(log.texts).toEqual(texts);
    await replicas.session.message(note("f"));
    expect(log.texts).toEqual([...texts, "f"]);
  });

  test("leaves a server that refuses single signals as unavailable, with everything behind them", async () => {
    const log = new SharedLog();
    const status = contractStatus({ code: Code.Unavailable, reason: "STORE_UNAVAILABLE" });
    let seen = 0;
    const broken: Script = {
      signals: {
        async *streamSignals(requests) {
          for await (const { batch } of requests) {
            seen += 1;
            const result = { result: { case: "error" as const, value: status } };
            yield { batch: { results: batch?.requests.map(() => result) ?? [] } };
            throw contractError({ code: Code.Unavailable, reason: "STORE_UNAVAILABLE" });
          }
        },
      },
    };
    await using replicas = await connectReplicas([broken, log.script]);
    const texts = ["a", "b", "c"];
    await Promise.all(await sendOneByOne((text) => replicas.session.message(note(text)), texts));
    expect(log.texts).toEqual(texts);
    expect(seen).toBe(1);
  });

  test("blames a stream's end on the batch that had no answer, and sends its neighbours again, even with retries off", async () => {
    const log = new SharedLog();
    const refused = { code: Code.InvalidArgument, reason: "INVALID_REQUEST" };
    const script: Script = {
      signals: {
        async *streamSignals(requests) {
          for await (const { batch } of requests) {
            if (batch === undefined) continue;
            if (textsOf(batch).includes("bad")) throw contractError(refused);
            yield { batch: log.append(batch) };
          }
        },
      },
    };
    await using scripted = await connectScripted(script, { retry: { maxAttempts: 1 } });
    const texts = ["a", "bad", "c", "d", "e"];
    const sent = await sendOneByOne((text) => scripted.session.message(note(text)), texts);
    const statuses = (await Promise.allSettled(sent)).map(({ status }) => status);
    expect(statuses).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled", "fulfilled"]);
    await expect(sent[1]).rejects.toThrow(InvalidRequestError);
    expect(log.texts).toEqual(["a", "c", "d", "e"]);
  });

  test("names the signal at fault of an atomic batch", async () => {
    const results = ["0", "1"].map((index) => ({
      result: {
        case: "error" as const,
        value: contractStatus({
          code: Code.NotFound,
          reason: "AGENT_NOT_FOUND",
          message: index === "1" ? "nobody" : "a neighbour",
          metadata: { index: "1" },
        }),
      },
    }));
    await using scripted = await connectScripted({ signals: { batchSendSignals: () => ({ results }) } });
    const event = { case: "interAgentMessage", value: { messageType: "note" } } as const;
    await expect(scripted.session.sendAtomic([{ event }, { event }])).rejects.toMatchObject({
      reason: "AGENT_NOT_FOUND",
      message: "nobody",
      metadata: { index: "1" },
    });
  });

  test("does not give a cancelled send's answer to the next one", async () => {
    const log = new SharedLog();
    const [arrived, go] = [createLatch(), createLatch()];
    await using scripted = await connectScripted({
      signals: {
        async *streamSignals(requests) {
          for await (const { batch } of requests) {
            if (batch === undefined) continue;
            arrived.open();
            await go.promise;
            yield { batch: log.append(batch) };
          }
        },
      },
    });
    const giveUp = new AbortController();
    const first = scripted.session.message(note("a"), { signal: giveUp.signal });
    await arrived.promise;
    const second = scripted.session.message(note("b"));
    giveUp.abort();
    await expect(first).rejects.toMatchObject({ reason: "CANCELLED" });
    go.open();
    expect(await second).toMatchObject({ sequence: 2n });
  });

  test("times a batch out that is not answered, and delivers those behind it elsewhere", async () => {
    const clock = new ManualClock();
    const log = new SharedLog();
    const arrived = createLatch();
    const silent: Script = {
      signals: {
        // biome-ignore lint/correctness/useYield: it never answers
        async *streamSignals(requests, context) {
          for await (const _ of requests) {
            arrived.open();
            await neverAnswer(context);
          }
        },
      },
    };
    await using replicas = await connectReplicas([silent, log.script], { clock, retry: {}, callTimeoutMs: 4_000 });
    const first = replicas.session.message(note("a"));
    await arrived.promise;
    clock.advance(1_000);
    const second = replicas.session.message(note("b"));
    await endOfTurn();
    clock.advance(3_000);
    await expect(first).rejects.toThrow(TimeoutError);
    await clock.timerStarted(0);
    clock.advance(0);
    await second;
    expect(log.texts).toEqual(["b"]);
  });

  test("ends a stream on which nothing is sent, and opens another for the next send", async () => {
    const clock = new ManualClock();
    let ended = createLatch();
    let streams = 0;
    await using scripted = await connectScripted(
      {
        signals: {
          async *streamSignals(requests) {
            streams += 1;
            for await (const { batch } of requests) if (batch !== undefined) yield { batch: storeAll(batch) };
            ended.open();
          },
        },
      },
      { clock },
    );
    await scripted.session.message(note("a"));
    await scripted.session.message(note("b"));
    expect(streams).toBe(1);
    clock.advance(5_000);
    await ended.promise;
    ended = createLatch();
    await scripted.session.message(note("c"));
    expect(streams).toBe(2);
    await scripted.session[Symbol.asyncDispose]();
    // Disposing ends the stream well, not by a reset.
    await ended.promise;
  });

  test("shows interceptors the signals it sends", async () => {
    await using server = await startScriptedServer({ signals: { batchSendSignals: (request) => storeAll(request) } });
    const seen: string[] = [];
    const client = createCoordinationClient({
      baseUrl: server.url,
      interceptors: [
        (next) => (request) => {
          if (!request.stream) return next(request);
          const { message } = request;
          async function* looked() {
            for await (const each of message) {
              if (each.$typeName === "coordination.v1.StreamSignalsRequest") {
                const { batch } = each as StreamSignalsRequest;
                if (batch !== undefined) seen.push(...textsOf(batch));
              }
              yield each;
            }
          }
          return next({ ...request, message: looked() });
        },
      ],
    });
    await client.coordination("c", { agentId: "agent" }).message(note("looked at"));
    expect(seen).toEqual(["looked at"]);
    await client.close();
    await server.idle();
  });
});

describe("A session whose server is older than streams of batches", () => {
  test("sends batches one by one, in order, and does not ask again", async () => {
    const log = new SharedLog();
    const batches: number[] = [];
    await using scripted = await connectScripted(
      {
        signals: {
          streamSignals: undefined,
          batchSendSignals: (request) => {
            batches.push(request.requests.length);
            return log.append(request);
          },
        },
      },
      { retry: { maxAttempts: 1 } },
    );
    const texts = Array.from({ length: 9 }, (_, index) => `${index}`);
    await Promise.all(await sendOneByOne((text) => scripted.session.message(note(text)), texts));
    expect(log.texts).toEqual(texts);
    const again = scripted.client.coordination("c", { agentId: "agent" });
    await again.message(note("more"));
    expect(log.texts).toEqual([...texts, "more"]);
    expect(batches.at(-1)).toBe(1);
    await Promise.all(Array.from({ length: 600 }, (_, index) => again.message(note(`${index}`))));
    expect(batches.at(-1)).toBe(600);
  });
});
