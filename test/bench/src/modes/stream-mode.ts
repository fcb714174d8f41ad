import { ReaderGroup } from "../load/reader-group.js";
import { meterUsage } from "../load/resource-usage.js";
import { SenderWindow } from "../load/sender-window.js";
import type { BenchMode, Measurement, ModeContext } from "./bench-mode.js";

/** How far a sender may run ahead. */
export const streamLimits = { maxUnacknowledged: 1_000, maxUndelivered: 10_000 };

const channel = "bench";

/** One sender as fast as it goes, and a number of readers who all get everything. */
export function streamMode(readerCount: number): BenchMode {
  return {
    title: readerCount === 1 ? "1 → 1, messages/s" : `1 → ${readerCount}, deliveries/s`,
    description: `one sender with at most 1,000 messages unacknowledged, ${readerCount === 1 ? "one reader" : `${readerCount} readers`}, at most 10,000 behind`,
    figures: {
      deliveriesPerSecond: { label: "deliveries", unit: "/s", better: "higher", decimals: 0 },
      serverMicroseconds: { label: "server CPU per delivery", unit: "µs", better: "lower", decimals: 2 },
    },
    run: (context) => measureStream(context, readerCount),
  };
}

async function measureStream({ system, scale, startServer }: ModeContext, count: number): Promise<Measurement> {
  await using server = await startServer();
  await using client = system.connect(server.url);
  await using readers = await ReaderGroup.open(system, client, { channel, from: "latest", count });
  await using sender = await client.openSender(channel, "sender-0");
  const window = new SenderWindow(sender, streamLimits, readers.slowest);
  const sendFor = async (durationMs: number, maxMessages?: number) => {
    await window.sendFor(durationMs, maxMessages);
    await readers.reached(window.sent);
  };
  await sendFor(scale.warmUpMs);
  const sentBefore = window.sent;
  const endMeter = await meterUsage(server);
  const start = performance.now();
  await sendFor(scale.measureMs);
  const seconds = (performance.now() - start) / 1_000;
  const usage = await endMeter();
  const deliveries = (window.sent - sentBefore) * count;
  // In order, whatever was doubled comes before one more.
  await sendFor(scale.measureMs, 1);
  return {
    values: {
      deliveriesPerSecond: deliveries / seconds,
      serverMicroseconds: (usage.serverCpuSeconds / deliveries) * 1e6,
    },
    usage,
    checkedDeliveries: readers.assertComplete(window.sent),
  };
}
