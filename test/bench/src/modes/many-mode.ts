import { type CoordinationClient, createCoordinationClient } from "@coordination-signals/client";
import { numberOf } from "../load/bench-signal.js";
import { within } from "../load/deadline.js";
import { DeliveryCheck } from "../load/delivery-check.js";
import { meterUsage, type Usage } from "../load/resource-usage.js";
import { SenderWindow } from "../load/sender-window.js";
import type { ServerProcess } from "../servers/server-process.js";
import { sendMessage } from "../systems/coordination/coordination-client.js";
import type { BenchMode, Measurement, ModeContext } from "./bench-mode.js";
import { streamLimits } from "./stream-mode.js";

const connections = 20;
const readersEach = 2;
const drainTimeoutMs = 60_000;

/** Many coordinations at once, against one alone. */
export const manyMode: BenchMode = {
  title: "1,000 coordinations, sends/s",
  description: `1,000 coordinations (a glance: 100) with one sender and ${readersEach} subscribers each, against one such coordination; 1,000 sends unacknowledged in all, on ${connections} connections`,
  figures: {
    sendsPerSecond: { label: "sends, all coordinations", unit: "/s", better: "higher", decimals: 0 },
    oneSendsPerSecond: { label: "sends, one coordination", unit: "/s", better: "higher", decimals: 0 },
    ratio: { label: "all, times one", unit: "×", better: "higher", decimals: 2 },
  },
  run: measureMany,
};

async function measureMany({ scale, startServer }: ModeContext): Promise<Measurement> {
  const one = await measureCoordinations({ scale, startServer, count: 1 });
  const many = await measureCoordinations({ scale, startServer, count: scale.coordinations });
  return {
    values: {
      sendsPerSecond: many.sendsPerSecond,
      oneSendsPerSecond: one.sendsPerSecond,
      ratio: many.sendsPerSecond / one.sendsPerSecond,
    },
    usage: many.usage,
    checkedDeliveries: one.checkedDeliveries + many.checkedDeliveries,
  };
}

interface Measured {
  readonly sendsPerSecond: number;
  readonly usage: Usage;
  readonly checkedDeliveries: number;
}

async function measureCoordinations(
  options: Pick<ModeContext, "scale" | "startServer"> & { readonly count: number },
): Promise<Measured> {
  await using server = await options.startServer();
  const clients = openClients(server);
  const unacknowledged = Math.max(1, Math.floor(streamLimits.maxUnacknowledged / options.count));
  const coordinations = await Promise.all(
    Array.from({ length: options.count }, (_, index) => openCoordination(clients, index, unacknowledged)),
  );
  const sendFor = async (durationMs: number, maxMessages?: number) => {
    await Promise.all(coordinations.map(({ window }) => window.sendFor(durationMs, maxMessages)));
    await within(drainTimeoutMs, "delivering", Promise.all(coordinations.map(({ delivered }) => delivered())));
  };
  const sent = () => coordinations.reduce((sum, { window }) => sum + window.sent, 0);
  await sendFor(options.scale.warmUpMs);
  const sentBefore = sent();
  const endMeter = await meterUsage(server);
  const start = performance.now();
  await sendFor(options.scale.measureMs);
  const seconds = (performance.now() - start) / 1_000;
  const usage = await endMeter();
  const sendsPerSecond = (sent() - sentBefore) / seconds;
  await sendFor(options.scale.measureMs, 1);
  for (const { assertComplete } of coordinations) assertComplete();
  await Promise.all(clients.map((client) => client.close()));
  return { sendsPerSecond, usage, checkedDeliveries: sent() * readersEach };
}

function openClients({ url }: ServerProcess): readonly CoordinationClient[] {
  return Array.from({ length: connections }, () => createCoordinationClient({ baseUrl: url }));
}

async function openCoordination(clients: readonly CoordinationClient[], index: number, maxUnacknowledged: number) {
  // A coordination's agents are on connections of their own, as far as there are.
  const clientOf = (agent: number) => {
    const client = clients[(index + agent) % clients.length];
    if (client === undefined) throw new Error("there is no client");
    return client;
  };
  const id = `coordination-${index}`;
  const session = clientOf(0).coordination(id, { agentId: "sender-0" });
  await session.register({ heartbeat: false });
  const checks = await Promise.all(
    Array.from({ length: readersEach }, (_, reader) => openReader(clientOf(reader + 1), id, `reader-${reader}`)),
  );
  const sender = { send: (number: number) => sendMessage(session, number), [Symbol.asyncDispose]: async () => {} };
  const slowest = () => Math.min(...checks.map(({ count }) => count));
  const window = new SenderWindow(sender, { ...streamLimits, maxUnacknowledged }, slowest);
  return {
    window,
    delivered: () => Promise.all(checks.map((check) => check.reached(window.sent))),
    assertComplete: () => {
      for (const check of checks) check.assertComplete(window.sent);
    },
  };
}

async function openReader(client: CoordinationClient, coordinationId: string, agentId: string): Promise<DeliveryCheck> {
  const check = new DeliveryCheck(`${agentId} of ${coordinationId}`, "published");
  const signals = client.coordination(coordinationId, { agentId }).subscribe();
  await signals.ready();
  const read = async () => {
    for await (const signal of signals) check.arrived(signal.senderAgentId, numberOf(signal));
  };
  // A reader that fails is missed: what it should have been handed does not arrive.
  read().catch((error: unknown) => console.error(error));
  return check;
}
