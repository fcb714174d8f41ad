import { setTimeout } from "node:timers/promises";
import { type CoordinationSession, createCoordinationClient } from "@coordination-signals/client";
import { within } from "../load/deadline.js";
import { pace } from "../load/pacer.js";
import { ReaderGroup } from "../load/reader-group.js";
import { percentile } from "../load/statistics.js";
import type { BenchMode, Measurement, ModeContext } from "./bench-mode.js";

const channel = "bench";
const connections = 10;
const openWaits = 1_000;
/** Until code is compiled; at the pace that is measured it would take a minute. */
const warmUps = 4_000;
const warmUpsPerSecond = 500;
const resolutions = 1_000;
const resolutionsPerSecond = 100;
const wakeTimeoutMs = 10_000;
const waitTimeoutMs = 600_000;
const lookIntervalMs = 50;

/** Agents that wait, each for something else. */
export const waitsMode: BenchMode = {
  title: `${openWaits} open waits, wake-up p99, ms`,
  description: `${openWaits} agents on ${connections} connections wait in one coordination, each for a dependency of its own; ${resolutionsPerSecond} a second are resolved, and their agents wait again: from the call that resolves to the answer of the wait, the store's commit included, and how long a wait takes to begin beside all others. Systems without waits show what the machine allows: a message at the same pace to one reader, who has it where the others are woken`,
  figures: {
    wakeP99Ms: { label: "resolved to woken, p99", unit: "ms", better: "lower", decimals: 2 },
    wakeP50Ms: { label: "resolved to woken, p50", unit: "ms", better: "lower", decimals: 3 },
    afterSendP99Ms: { label: "woken after the send was answered, p99", unit: "ms", better: "lower", decimals: 2 },
    sendP50Ms: { label: "the send alone, p50", unit: "ms", better: "lower", decimals: 3 },
    openAllMs: { label: `to begin ${openWaits} waits`, unit: "ms", better: "lower", decimals: 0 },
  },
  run: (context) => (context.system.group === "coordination" ? measureWaits(context) : measureMessages(context)),
};

async function measureMessages({ system, startServer }: ModeContext): Promise<Measurement> {
  await using server = await startServer();
  await using client = system.connect(server.url);
  const sentAt: number[] = [];
  const wakes: number[] = [];
  const sends: number[] = [];
  const onMessage = (number: number) => {
    wakes[number - 1] = performance.now() - (sentAt[number - 1] ?? 0);
  };
  await using readers = await ReaderGroup.open(system, client, { channel, from: "latest", count: 1, onMessage });
  await using sender = await client.openSender(channel, "sender-0");
  const sendSome = async (count: number, perSecond: number) => {
    const first = sentAt.length;
    const work: Promise<void>[] = [];
    const send = async (index: number) => {
      sentAt[index] = performance.now();
      await sender.send(index + 1);
      sends[index] = performance.now() - (sentAt[index] ?? 0);
    };
    await pace({ count, perSecond, call: (index) => work.push(send(first + index)) });
    await Promise.all(work);
    await readers.reached(first + count);
  };
  await sendSome(warmUps, warmUpsPerSecond);
  await sendSome(resolutions, resolutionsPerSecond);
  return {
    values: wakeFigures(wakes.slice(warmUps), sends.slice(warmUps)),
    checkedDeliveries: readers.assertComplete(warmUps + resolutions),
  };
}

async function measureWaits({ startServer }: ModeContext): Promise<Measurement> {
  await using server = await startServer();
  await using client = createCoordinationClient({ baseUrl: server.url });
  const resolver = client.coordination(channel, { agentId: "resolver" });
  await resolver.register();
  const clients = Array.from({ length: connections }, () => createCoordinationClient({ baseUrl: server.url }));
  const waiters = Array.from({ length: openWaits }, (_, index) => {
    const session = clients[index % connections]?.coordination(channel, { agentId: `waiter-${index}` });
    if (session === undefined) throw new Error("there is no client");
    return new Waiter(session, index);
  });
  const start = performance.now();
  for (const waiter of waiters) waiter.begin();
  await untilAllOpen(resolver);
  const openAllMs = performance.now() - start;
  await resolveSome(resolver, waiters, { count: warmUps, perSecond: warmUpsPerSecond });
  const paced = { count: resolutions, perSecond: resolutionsPerSecond };
  const { wakes, sends } = await resolveSome(resolver, waiters, paced);
  await Promise.all(clients.map((each) => each.close()));
  return {
    values: { ...wakeFigures(wakes, sends), openAllMs },
    checkedDeliveries: warmUps + wakes.length,
  };
}

function wakeFigures(wakes: readonly number[], sends: readonly number[]) {
  const afterSends = wakes.map((wakeMs, index) => wakeMs - (sends[index] ?? 0));
  return {
    wakeP99Ms: percentile(wakes, 0.99),
    wakeP50Ms: percentile(wakes, 0.5),
    afterSendP99Ms: percentile(afterSends, 0.99),
    sendP50Ms: percentile(sends, 0.5),
  };
}

/** One agent that waits for the next of its dependencies, again and again. */
class Waiter {
  readonly #session: CoordinationSession;
  readonly #index: number;
  #round = 0;
  #answered: Promise<number> | undefined;

  constructor(session: CoordinationSession, index: number) {
    this.#session = session;
    this.#index = index;
  }

  begin(): void {
    this.#round += 1;
    this.#answered = this.#wait();
    // It is looked at when its dependency was resolved; until then nothing may end the process.
    this.#answered.catch(() => undefined);
  }

  /** Resolves the dependency; answers how long the send and the wake-up took. */
  async wake(resolver: CoordinationSession): Promise<{ readonly wakeMs: number; readonly sendMs: number }> {
    const answered = this.#answered ?? Promise.reject(new Error("it does not wait"));
    const start = performance.now();
    await resolver.dependencyResolved({ dependencyType: "bench", dependencyId: this.#dependencyId });
    const sendMs = performance.now() - start;
    const wakeMs = (await within(wakeTimeoutMs, "a wake-up", answered)) - start;
    this.begin();
    return { wakeMs, sendMs };
  }

  get #dependencyId(): string {
    return `${this.#index}/${this.#round}`;
  }

  /** Answers when it was woken. */
  async #wait(): Promise<number> {
    const condition = { dependencyType: "bench", dependencyId: this.#dependencyId, expectedFrom: ["resolver"] };
    await this.#session.waitFor(condition, { timeoutMs: waitTimeoutMs });
    return performance.now();
  }
}

async function untilAllOpen(observer: CoordinationSession): Promise<void> {
  for (;;) {
    const { waitCount } = await observer.waitGraph();
    if (waitCount >= BigInt(openWaits)) return;
    await setTimeout(lookIntervalMs);
  }
}

async function resolveSome(
  resolver: CoordinationSession,
  waiters: readonly Waiter[],
  timetable: { readonly count: number; readonly perSecond: number },
) {
  const wakes: number[] = [];
  const sends: number[] = [];
  const work: Promise<void>[] = [];
  const call = (index: number): void => {
    const waiter = waiters[index % waiters.length];
    if (waiter === undefined) return;
    const resolve = async (): Promise<void> => {
      const { wakeMs, sendMs } = await waiter.wake(resolver);
      wakes.push(wakeMs);
      sends.push(sendMs);
    };
    work.push(resolve());
  };
  await pace({ ...timetable, call });
  await Promise.all(work);
  return { wakes, sends };
}
