import { pace } from "../load/pacer.js";
import { ReaderGroup } from "../load/reader-group.js";
import { meterUsage } from "../load/resource-usage.js";
import { percentile } from "../load/statistics.js";
import type { BenchMode, Measurement, ModeContext } from "./bench-mode.js";

const channel = "bench";
const perSecond = 500;

/** How long a message takes when there is time. */
export const latencyMode: BenchMode = {
  title: `latency at ${perSecond}/s, p50 ms`,
  description: `one sender at ${perSecond} messages/s, one reader; from the call that sends to the handler, and to the acknowledgement`,
  figures: {
    p50Ms: { label: "p50", unit: "ms", better: "lower", decimals: 3 },
    p99Ms: { label: "p99", unit: "ms", better: "lower", decimals: 2 },
    acknowledgedP50Ms: { label: "acknowledged p50", unit: "ms", better: "lower", decimals: 3 },
  },
  run: measureLatency,
};

async function measureLatency({ system, scale, startServer }: ModeContext): Promise<Measurement> {
  const warmUp = scale.latencyWarmUpMessages;
  const count = warmUp + scale.latencyMessages;
  const sentAt = new Float64Array(count + 1);
  const delivered = new Float64Array(count + 1);
  const acknowledged = new Float64Array(count + 1);
  const onMessage = (number: number) => {
    delivered[number] = performance.now() - (sentAt[number] ?? 0);
  };
  await using server = await startServer();
  await using client = system.connect(server.url);
  await using readers = await ReaderGroup.open(system, client, { channel, from: "latest", count: 1, onMessage });
  await using sender = await client.openSender(channel, "sender-0");
  const endMeter = await meterUsage(server);
  const sends: Promise<void>[] = [];
  const send = async (number: number) => {
    sentAt[number] = performance.now();
    await sender.send(number);
    acknowledged[number] = performance.now() - (sentAt[number] ?? 0);
  };
  await pace({ count, perSecond, call: (index) => sends.push(send(index + 1)) });
  await Promise.all(sends);
  await readers.reached(count);
  const usage = await endMeter();
  const measured = (values: Float64Array) => values.subarray(warmUp + 1);
  return {
    values: {
      p50Ms: percentile(measured(delivered), 0.5),
      p99Ms: percentile(measured(delivered), 0.99),
      acknowledgedP50Ms: percentile(measured(acknowledged), 0.5),
    },
    usage,
    checkedDeliveries: readers.assertComplete(count),
  };
}
