import { type CoordinationSession, createCoordinationClient } from "@coordination-signals/client";
import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { pace } from "../load/pacer.js";
import { ReaderGroup } from "../load/reader-group.js";
import { percentile } from "../load/statistics.js";
import { sendMessage } from "../systems/coordination/coordination-client.js";
import type { BenchMode, Measurement, ModeContext } from "./bench-mode.js";
import { loadMetricsCollector, loadSessionMetrics } from "./server-build.js";

const channel = "bench";
const singleSends = 500;
const bulkSends = 100;
const bulks = 20;
const readers = 3;
const pacedSends = 500;
const pacedPerSecond = 200;
const metricsRounds = 300_000;

/** The targets that the system was first specified with. */
export const targetMode: BenchMode = {
  title: "stored and acknowledged, one at a time, mean ms",
  description: `sends that each await the one before; ${bulkSends} sends at once (median of ${bulks}); propagation as the server measures it, ${pacedPerSecond}/s to ${readers} subscribers; what counting costs per signal sent and delivered`,
  figures: {
    sendMs: { label: "one send, mean", unit: "ms", better: "lower", decimals: 3 },
    bulkMs: { label: `${bulkSends} signals in bulk`, unit: "ms", better: "lower", decimals: 1 },
    propagationMs: { label: "propagation, mean", unit: "ms", better: "lower", decimals: 3 },
    propagationP99Ms: { label: "propagation, p99", unit: "ms", better: "lower", decimals: 2 },
    metricsMicroseconds: { label: "metrics per signal", unit: "µs", better: "lower", decimals: 3 },
  },
  run: measureTargets,
};

async function measureTargets({ system, startServer }: ModeContext): Promise<Measurement> {
  await using server = await startServer();
  await using client = createCoordinationClient({ baseUrl: server.url });
  const session = client.coordination(channel, { agentId: "sender-0" });
  await session.register();
  await using systemClient = system.connect(server.url);
  await using group = await ReaderGroup.open(system, systemClient, { channel, from: "latest", count: readers });
  const sender = new NumberedSender(session);
  await sender.oneByOne(singleSends);
  const bulkMs = await sender.inBulks();
  const sendMs = await sender.oneByOne(singleSends);
  await group.reached(sender.sent);
  await sender.paced();
  await group.reached(sender.sent);
  const metrics = await session.metrics();
  return {
    values: {
      sendMs,
      bulkMs,
      propagationMs: metrics.averagePropagationMs,
      propagationP99Ms: metrics.p99PropagationMs,
      metricsMicroseconds: await metricsMicroseconds(),
    },
    checkedDeliveries: group.assertComplete(sender.sent),
  };
}

class NumberedSender {
  readonly #session: CoordinationSession;
  sent = 0;

  constructor(session: CoordinationSession) {
    this.#session = session;
  }

  /** Answers the mean duration of a send in milliseconds. */
  async oneByOne(count: number): Promise<number> {
    const start = performance.now();
    for (let sends = 0; sends < count; sends += 1) await this.#send();
    return (performance.now() - start) / count;
  }

  /** Answers the median duration of a bulk in milliseconds. */
  async inBulks(): Promise<number> {
    const durations: number[] = [];
    for (let bulk = 0; bulk < bulks; bulk += 1) {
      const start = performance.now();
      await Promise.all(Array.from({ length: bulkSends }, () => this.#send()));
      durations.push(performance.now() - start);
    }
    return percentile(durations, 0.5);
  }

  async paced(): Promise<void> {
    const sends: Promise<unknown>[] = [];
    await pace({ count: pacedSends, perSecond: pacedPerSecond, call: () => sends.push(this.#send()) });
    await Promise.all(sends);
  }

  #send(): Promise<unknown> {
    this.sent += 1;
    return sendMessage(this.#session, this.sent);
  }
}

/** All that is counted for one signal that is stored and handed to one subscriber. */
async function metricsMicroseconds(): Promise<number> {
  const { MetricsCollector } = await loadMetricsCollector();
  const { SessionMetrics } = await loadSessionMetrics();
  const collector = new MetricsCollector({ processMetrics: false });
  const session = new SessionMetrics();
  const type = SignalType.INTER_AGENT_MESSAGE;
  const count = (rounds: number) => {
    const start = performance.now();
    for (let round = 0; round < rounds; round += 1) {
      const milliseconds = (round % 100) / 10;
      collector.storeCommit(milliseconds, 1);
      collector.signalSent(type, 1);
      collector.signalReceived(type, 1);
      collector.propagation(milliseconds, 1);
      collector.deliveryBatch(1);
      session.count("reader-0", type, 1, milliseconds);
    }
    return performance.now() - start;
  };
  count(metricsRounds);
  return (count(metricsRounds) * 1_000) / metricsRounds;
}
