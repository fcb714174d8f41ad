import { Code } from "@connectrpc/connect";
import type { SubscribeRequest } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import * as browser from "../../../../client-sdk/src/browser.js";
import {
  CancelledError,
  createCoordinationClient,
  type Protocol,
  type SubscriptionStatus,
  TimeoutError,
  UnavailableError,
} from "../../../../client-sdk/src/index.js";
import { type ContractError, contractError, contractStatus } from "../support/contract-errors.js";
import { createLatch } from "../support/latch.js";
import { ManualClock } from "../support/manual-clock.js";
import { connectReplicas, type Replicas } from "../support/replicas.js";
import { batch, cursorAt, subscribed } from "../support/scripted-log.js";
import { clientLeft, neverAnswer, type Script, startScriptedServer } from "../support/scripted-server.js";
import { SharedLog } from "../support/shared-log.js";

const shuttingDown: ContractError = { code: Code.Unavailable, reason: "SHUTTING_DOWN", retryDelayMs: 60_000 };
/** The first delay of the default policy, at its least jitter, in milliseconds. */
const firstDelayMs = 50;

/** A server whose metrics say its name. */
function answering(name: string): Script {
  return { signals: { getSignalMetrics: () => ({ epoch: name }) } };
}

/** A server that is there and refuses. */
function refusing(error: ContractError, onCall: () => void = () => undefined): Script {
  const refuse = () => {
    onCall();
    throw contractError(error);
  };
  return {
    signals: {
      getSignalMetrics: refuse,
      batchSendSignals: refuse,
      // biome-ignore lint/correctness/useYield: it fails before there is anything to yield
      async *subscribe() {
        refuse();
      },
    },
  };
}

/** Who answers. */
async function answerer({ session }: Pick<Replicas, "session">): Promise<string> {
  return (await session.metrics()).epoch;
}

function sentTexts(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `message ${index + 1}`);
}

describe("A client of several servers whose first one dies", () => {
  test.each<[string, Protocol, boolean]>([
    ["grpc", "grpc", false],
    ["grpc-web", "grpc-web", false],
    ["connect", "connect", false],
    ["grpc-web by fetch", "grpc-web", true],
    ["connect by fetch", "connect", true],
  ])("sends and gets all signals once, in order, over %s", async (_, protocol, web) => {
    const log = new SharedLog();
    let replicas: Replicas | undefined;
    let batches = 0;
    // It stores the eighth batch and dies before it has said so.
    const dying: Script = {
      signals: {
        ...log.script.signals,
        batchSendSignals: async (request, context) => {
          batches += 1;
          const answer = log.append(request);
          if (batches < 8) return answer;
          await replicas?.servers[0]?.stop();
          return neverAnswer(context);
        },
      },
    };
    await using connected = await connectReplicas([dying, log.script], { protocol, web });
    replicas = connected;
    const { client, session, urls } = connected;
    const statuses: SubscriptionStatus[] = [];
    const onStatus = (status: SubscriptionStatus) => statuses.push(status);
    const subscription = client.coordination("c").subscribe({ from: "earliest", onStatus });
    await subscription.ready();
    const texts = sentTexts(20);
    const sending = sendAll(session, texts);
    const received: [bigint, unknown][] = [];
    for await (const { sequence, event } of subscription) {
      received.push([sequence, event.case === "interAgentMessage" ? event.value.message : event.case]);
      if (received.length === texts.length) break;
    }
    expect(received).toEqual(texts.map((text, index) => [BigInt(index + 1), text]));
    expect(log.texts).toEqual(texts);
    const results = await sending;
    expect(results.map(({ sequence }) => sequence)).toEqual(texts.map((_text, index) => BigInt(index + 1)));
    expect(results.flatMap(({ deduplicated }, index) => (deduplicated ? [index] : []))).toEqual([7]);
    expect(statuses.filter(({ type }) => type === "connected" || type === "reconnecting")).toMatchObject([
      { type: "connected", baseUrl: urls[0], resumed: false },
      { type: "reconnecting", baseUrl: urls[0], delayMs: 0 },
      { type: "connected", baseUrl: urls[1], resumed: true },
    ]);
  });

  async function sendAll(session: Replicas["session"], texts: readonly string[]) {
    const results = [];
    for (const message of texts) results.push(await session.message({ messageType: "note", message }));
    return results;
  }
});

describe("A client of several servers whose first one answers UNAVAILABLE", () => {
  test("goes on with the second one, without waiting, and stays there", async () => {
    const clock = new ManualClock();
    let refused = 0;
    const first = refusing(shuttingDown, () => {
      refused += 1;
    });
    await using replicas = await connectReplicas([first, answering("second")], { clock, retry: {} });
    expect(await answerer(replicas)).toBe("second");
    expect(await answerer(replicas)).toBe("second");
    expect(refused).toBe(1);
    expect(clock.delaysMs()).toEqual([]);
  });

  test("resumes its subscription there when it drains, and hands out each signal once", async () => {
    const clock = new ManualClock();
    const draining: Script = {
      signals: {
        async *subscribe() {
          yield subscribed(1);
          yield batch(0, 1, [1]);
          throw contractError(shuttingDown);
        },
      },
    };
    const starts: SubscribeRequest["start"][] = [];
    const second: Script = {
      signals: {
        async *subscribe({ start }) {
          starts.push(start);
          yield subscribed(2, cursorAt(1));
          yield batch(1, 2, [2]);
        },
      },
    };
    await using replicas = await connectReplicas([draining, second], { clock, retry: {} });
    const sequences: bigint[] = [];
    for await (const { sequence } of replicas.session.subscribe({ from: "earliest" })) sequences.push(sequence);
    expect(sequences).toEqual([1n, 2n]);
    expect(starts).toEqual([{ case: "cursor", value: cursorAt(1) }]);
  });

  test.each<[string, ContractError]>([
    ["as a whole", shuttingDown],
    ["each for itself", { code: Code.Unavailable, reason: "STORE_UNAVAILABLE", retryDelayMs: 60_000 }],
  ])("repeats sends there that were refused %s", async (how, error) => {
    const clock = new ManualClock();
    const log = new SharedLog();
    const each: Script = {
      signals: {
        batchSendSignals: ({ requests }) => ({
          results: requests.map(() => ({ result: { case: "error" as const, value: contractStatus(error) } })),
        }),
      },
    };
    const first = how === "as a whole" ? refusing(error) : each;
    await using replicas = await connectReplicas([first, log.script], { clock, retry: {} });
    const texts = sentTexts(3);
    const sends = texts.map((message) => replicas.session.message({ messageType: "note", message }));
    await clock.timerStarted(0);
    clock.advance(0);
    await Promise.all(sends);
    expect(log.texts).toEqual(texts);
  });

  test("stays with a server that is only exhausted, and waits as it asks", async () => {
    const clock = new ManualClock();
    let calls = 0;
    const exhausted: Script = {
      signals: {
        getSignalMetrics: () => {
          calls += 1;
          if (calls > 1) return { epoch: "first" };
          throw contractError({ code: Code.ResourceExhausted, reason: "RATE_LIMITED", retryDelayMs: 1_000 });
        },
      },
    };
    await using replicas = await connectReplicas([exhausted, answering("second")], { clock, retry: {} });
    const answer = answerer(replicas);
    await clock.timerStarted(1_000 + firstDelayMs);
    clock.advance(1_000 + firstDelayMs);
    expect(await answer).toBe("first");
  });

  test("repeats nothing when that is turned off, and still begins with the second one next time", async () => {
    const scripts = [refusing(shuttingDown), answering("second")];
    await using replicas = await connectReplicas(scripts, { retry: { maxAttempts: 1 } });
    await expect(answerer(replicas)).rejects.toThrow(UnavailableError);
    expect(await answerer(replicas)).toBe("second");
  });

  test("leaves it once, however many calls fail at the same time", async () => {
    const everybody = createLatch();
    let arrived = 0;
    const first: Script = {
      signals: {
        getSignalMetrics: async () => {
          arrived += 1;
          if (arrived === 10) everybody.open();
          await everybody.promise;
          throw contractError(shuttingDown);
        },
      },
    };
    await using replicas = await connectReplicas([first, answering("second"), answering("third")]);
    const answers = await Promise.all(Array.from({ length: 10 }, () => answerer(replicas)));
    expect(new Set(answers)).toEqual(new Set(["second"]));
  });
});

describe("A client of several servers that are all down", () => {
  test("waits after each round of the list, and finds the one that comes back", async () => {
    const clock = new ManualClock();
    await using replicas = await connectReplicas([{}, {}, {}], { clock, retry: {} });
    await Promise.all(replicas.servers.map((server) => server.stop()));
    const answer = answerer(replicas);
    for (const delayMs of [firstDelayMs, 2 * firstDelayMs]) {
      await clock.timerStarted(delayMs);
      expect(clock.delaysMs()).toEqual([delayMs]);
      clock.advance(delayMs);
    }
    await clock.timerStarted(4 * firstDelayMs);
    await replicas.restart(1, answering("second"));
    clock.advance(4 * firstDelayMs);
    expect(await answer).toBe("second");
  });

  test("names the address of each attempt in the status events", async () => {
    const clock = new ManualClock();
    const log = new SharedLog();
    await using replicas = await connectReplicas([{}, {}, {}], { clock, retry: {} });
    await Promise.all(replicas.servers.map((server) => server.stop()));
    const statuses: SubscriptionStatus[] = [];
    const subscription = replicas.session.subscribe({ onStatus: (status) => statuses.push(status) });
    await clock.timerStarted(firstDelayMs);
    await replicas.restart(1, log.script);
    clock.advance(firstDelayMs);
    await subscription.ready();
    const [first, second, third] = replicas.urls;
    expect(statuses).toMatchObject([
      { type: "reconnecting", baseUrl: first, attempt: 1, delayMs: 0, error: { reason: "CONNECTION_LOST" } },
      { type: "reconnecting", baseUrl: second, attempt: 2, delayMs: 0 },
      { type: "reconnecting", baseUrl: third, attempt: 3, delayMs: firstDelayMs },
      { type: "reconnecting", baseUrl: first, attempt: 4, delayMs: 0 },
      { type: "connected", baseUrl: second, resumed: false },
    ]);
  });

  test("makes as many attempts at each address as it would at one", async () => {
    let refused = 0;
    const refuse = refusing({ code: Code.Unavailable, reason: "SHUTTING_DOWN" }, () => {
      refused += 1;
    });
    const retry = { maxAttempts: 3, initialDelayMs: 1, maxDelayMs: 1 };
    await using replicas = await connectReplicas([refuse, refuse], { retry });
    await expect(answerer(replicas)).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
    expect(refused).toBe(6);
  });
});

describe("A client of several servers", () => {
  test.each<[number, string]>([
    [0, "first"],
    [0.34, "second"],
    [0.999, "third"],
  ])("begins with one chosen by chance: %d", async (random, expected) => {
    await using replicas = await connectReplicas(["first", "second", "third"].map(answering), { random });
    expect(await answerer(replicas)).toBe(expected);
  });

  test("comes round to the first one after the last", async () => {
    await using replicas = await connectReplicas([answering("first"), refusing(shuttingDown)], { random: 0.5 });
    expect(await answerer(replicas)).toBe("first");
  });

  test("takes a subscription that is silent for too long to the next one", async () => {
    const clock = new ManualClock();
    const silent: Script = {
      signals: {
        async *subscribe(_, context) {
          yield subscribed(0);
          await clientLeft(context);
        },
      },
    };
    const live: Script = {
      signals: {
        async *subscribe() {
          yield subscribed(1);
          yield batch(0, 1, [1]);
        },
      },
    };
    await using replicas = await connectReplicas([silent, live], { clock, retry: {} });
    const subscription = replicas.session.subscribe({ checkpointIntervalMs: 1_000 });
    await subscription.ready();
    const read = subscription.next();
    await clock.timerStarted(3_000);
    clock.advance(3_000);
    expect((await read).value?.sequence).toBe(1n);
  });

  test("calls the next one after a call that was not answered in time", async () => {
    const silent: Script = { signals: { getSignalMetrics: (_, context) => neverAnswer(context) } };
    await using replicas = await connectReplicas([silent, answering("second")]);
    await expect(replicas.session.metrics({ timeoutMs: 20 })).rejects.toThrow(TimeoutError);
    expect(await answerer(replicas)).toBe("second");
  });

  test.each<[string, Protocol, boolean]>([
    ["grpc", "grpc", false],
    ["grpc-web", "grpc-web", false],
    ["connect by fetch", "connect", true],
  ])("takes a wait to the next one when the first one shuts down, over %s", async (_, protocol, web) => {
    const drains: Script = {
      ...answering("first"),
      coordinations: {
        waitFor: () => {
          throw contractError(shuttingDown);
        },
      },
    };
    const meets: Script = {
      ...answering("second"),
      coordinations: { waitFor: () => ({ conditions: [{ satisfied: true, sequence: 7n }] }) },
    };
    await using replicas = await connectReplicas([drains, meets], { protocol, web });
    expect(await replicas.session.waitFor({ agentId: "other" })).toEqual({ sequences: [7n] });
    expect(await answerer(replicas)).toBe("second");
  });

  test("stays after calls and streams that the caller gave up", async () => {
    const arrived = createLatch();
    let calls = 0;
    const first: Script = {
      signals: {
        getSignalMetrics: (_, context) => {
          calls += 1;
          if (calls > 1) return { epoch: "first" };
          arrived.open();
          return neverAnswer(context);
        },
        async *subscribe(_, context) {
          yield subscribed(0);
          await clientLeft(context);
        },
      },
    };
    await using replicas = await connectReplicas([first, answering("second")]);
    const giveUp = new AbortController();
    const cancelled = expect(replicas.session.metrics({ signal: giveUp.signal })).rejects.toThrow(CancelledError);
    await arrived.promise;
    giveUp.abort();
    await cancelled;
    const subscription = replicas.session.subscribe();
    await subscription.ready();
    await subscription.close();
    expect(await answerer(replicas)).toBe("first");
  });
});

describe("createCoordinationClient", () => {
  test("takes several addresses in Node.js", async () => {
    await using server = await startScriptedServer(answering("alive"));
    const gone = await startScriptedServer({});
    await gone.stop();
    await using client = createCoordinationClient({ baseUrls: [gone.url, server.url] });
    expect(await answerer({ session: client.coordination("c", { agentId: "agent" }) })).toBe("alive");
    await client.close();
    await server.idle();
  });

  test("takes several addresses in browsers", async () => {
    await using server = await startScriptedServer(answering("alive"), { http1: true });
    const gone = await startScriptedServer({}, { http1: true });
    await gone.stop();
    await using client = browser.createCoordinationClient({ baseUrls: [gone.url, server.url] });
    expect(await answerer({ session: client.coordination("c", { agentId: "agent" }) })).toBe("alive");
  });
});
