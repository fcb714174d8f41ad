import {
  type CoordinationClient,
  type CoordinationSession,
  createCoordinationClient,
} from "@coordination-signals/client";
import { within } from "../load/deadline.js";
import { percentile } from "../load/statistics.js";
import { collectedMemory, collectingArguments } from "../servers/collected-memory.js";
import type { ServerProcess } from "../servers/server-process.js";
import { sendMessage } from "../systems/coordination/coordination-client.js";
import { PlainSignals } from "../systems/coordination/plain-signals.js";
import { frameOf } from "../systems/limits/grpc-frame.js";
import { Http2Connection } from "../systems/limits/http2-client.js";
import { relayPaths } from "../systems/limits/relay.js";
import type { BenchMode, Measurement, ModeContext } from "./bench-mode.js";

const channel = "bench";
const connections = 10;
/** Subscriptions beside which a directed signal is compared. */
const fewSubscriptions = 10;
const directedSignals = 300;
const deliveryTimeoutMs = 10_000;
/** Long enough that nothing is reported while memory is measured. */
const checkpointIntervalMs = 600_000;

/** Subscribers for whom nothing happens. */
export const idleMode: BenchMode = {
  title: "idle subscriptions, KB of server memory each",
  description: `10,000 idle subscriptions on ${connections} connections (a glance: 1,000): what each adds to the server's resident memory after its garbage was collected, and how long a directed signal to one of them takes beside ${fewSubscriptions} and beside all`,
  figures: {
    rssKb: { label: "resident memory per subscription", unit: "KB", better: "lower", decimals: 2 },
    usedKb: { label: "heap and buffers per subscription", unit: "KB", better: "lower", decimals: 2 },
    directedFewP50Ms: {
      label: `directed, ${fewSubscriptions} subscriptions, p50`,
      unit: "ms",
      better: "lower",
      decimals: 3,
    },
    directedAllP50Ms: { label: "directed, all subscriptions, p50", unit: "ms", better: "lower", decimals: 3 },
  },
  run: (context) => (context.system.group === "coordination" ? measureSubscriptions(context) : measureStreams(context)),
};

async function measureStreams({ scale, startServer }: ModeContext): Promise<Measurement> {
  await using server = await startServer({ nodeArguments: collectingArguments });
  const open = await Promise.all(Array.from({ length: connections }, () => Http2Connection.open(server.url)));
  await openStreams(open, fewSubscriptions);
  const before = await collectedMemory(server);
  await openStreams(open, scale.idleSubscriptions - fewSubscriptions);
  const values = await memoryEach(server, before, scale.idleSubscriptions - fewSubscriptions);
  await Promise.all(open.map((connection) => connection[Symbol.asyncDispose]()));
  return { values, checkedDeliveries: 0 };
}

async function openStreams(open: readonly Http2Connection[], count: number): Promise<void> {
  const stands = Array.from({ length: count }, (_, index) => {
    const connection = open[index % open.length];
    return new Promise<void>((resolve, reject) => {
      const stream = connection?.open(relayPaths.subscribe, () => resolve());
      stream?.once("error", reject);
      stream?.end(frameOf(new Uint8Array()));
    });
  });
  await Promise.all(stands);
}

async function measureSubscriptions({ scale, startServer }: ModeContext): Promise<Measurement> {
  await using server = await startServer({ nodeArguments: collectingArguments });
  const names = Array.from({ length: scale.idleSubscriptions }, (_, index) => `idle-${index}`);
  using plain = new PlainSignals(server.url);
  await plain.introduce(channel, ["sender-0", ...names]);
  await using client = createCoordinationClient({ baseUrl: server.url });
  const sender = client.coordination(channel, { agentId: "sender-0" });
  const clients = Array.from({ length: connections }, () => createCoordinationClient({ baseUrl: server.url }));
  const receiver = new Receiver();
  await subscribe(clients, names.slice(0, fewSubscriptions), receiver);
  const few = await directedP50Ms(sender, receiver, names[0]);
  const before = await collectedMemory(server);
  await subscribe(clients, names.slice(fewSubscriptions), receiver);
  const memory = await memoryEach(server, before, names.length - fewSubscriptions);
  const all = await directedP50Ms(sender, receiver, names[0]);
  await Promise.all(clients.map((each) => each.close()));
  return {
    values: { ...memory, directedFewP50Ms: few, directedAllP50Ms: all },
    checkedDeliveries: receiver.assertComplete(2 * directedSignals),
  };
}

async function subscribe(
  clients: readonly CoordinationClient[],
  names: readonly string[],
  receiver: Receiver,
): Promise<void> {
  const standing = names.map(async (agentId, index) => {
    const signals = clients[index % clients.length]
      ?.coordination(channel, { agentId })
      .subscribe({ checkpointIntervalMs });
    if (signals === undefined) throw new Error("there is no client");
    await signals.ready();
    const read = async () => {
      for await (const _ of signals) receiver.received(agentId);
    };
    read().catch(receiver.failed);
  });
  await Promise.all(standing);
}

async function directedP50Ms(sender: CoordinationSession, receiver: Receiver, recipient = ""): Promise<number> {
  const durations: number[] = [];
  for (let number = 1; number <= directedSignals; number += 1) {
    const start = performance.now();
    const arrived = receiver.next(recipient);
    await sendMessage(sender, number, { recipients: [recipient] });
    durations.push((await within(deliveryTimeoutMs, "a directed signal", arrived)) - start);
  }
  return percentile(durations.slice(durations.length / 3), 0.5);
}

/** Takes what the subscriptions are handed: only who is addressed may be. */
class Receiver {
  #awaited: { readonly agentId: string; readonly resolve: (atMs: number) => void } | undefined;
  #count = 0;
  #fault: unknown;

  /** Resolves with the time when this agent is handed its next signal. */
  next(agentId: string): Promise<number> {
    return new Promise((resolve) => {
      this.#awaited = { agentId, resolve };
    });
  }

  received(agentId: string): void {
    this.#count += 1;
    const awaited = this.#awaited;
    this.#awaited = undefined;
    if (awaited?.agentId === agentId) awaited.resolve(performance.now());
    else this.#fault ??= new Error(`${agentId} was handed a signal that is not for it`);
  }

  readonly failed = (error: unknown): void => {
    this.#fault ??= error;
  };

  assertComplete(count: number): number {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#count !== count) throw new Error(`${this.#count} directed signals arrived, ${count} were sent`);
    return count;
  }
}

async function memoryEach(
  server: ServerProcess,
  before: Awaited<ReturnType<typeof collectedMemory>>,
  count: number,
): Promise<{ readonly rssKb: number; readonly usedKb: number }> {
  const after = await collectedMemory(server);
  return {
    rssKb: (after.rssBytes - before.rssBytes) / count / 1_024,
    usedKb: (after.usedBytes - before.usedBytes) / count / 1_024,
  };
}
