import { ReaderGroup } from "../load/reader-group.js";
import { meterUsage } from "../load/resource-usage.js";
import type { BenchMode, Measurement, ModeContext } from "./bench-mode.js";

const channel = "bench";
const loops = 64;

/** Many loops in one process that each wait for their message to be acknowledged before they send the next. */
export const awaitMode: BenchMode = {
  title: `${loops} awaiting, sends/s`,
  description: `${loops} loops on one connection that each await their acknowledgement; what was stored is read back and checked`,
  figures: {
    sendsPerSecond: { label: "sends", unit: "/s", better: "higher", decimals: 0 },
    serverMicroseconds: { label: "server CPU per send", unit: "µs", better: "lower", decimals: 1 },
  },
  run: measureAwait,
};

async function measureAwait({ system, scale, startServer }: ModeContext): Promise<Measurement> {
  await using server = await startServer();
  await using client = system.connect(server.url);
  await using sender = await client.openSender(channel, "sender-0");
  // What is not stored can only be checked as it comes.
  await using live = await ReaderGroup.open(system, client, {
    channel,
    from: "latest",
    count: system.keepsLog ? 0 : 1,
  });
  let sent = 0;
  const sendFor = async (durationMs: number) => {
    const end = performance.now() + durationMs;
    const loop = async () => {
      while (performance.now() < end) {
        sent += 1;
        await sender.send(sent);
      }
    };
    await Promise.all(Array.from({ length: loops }, loop));
  };
  await sendFor(scale.warmUpMs);
  const sentBefore = sent;
  const endMeter = await meterUsage(server);
  const start = performance.now();
  await sendFor(scale.measureMs);
  const seconds = (performance.now() - start) / 1_000;
  const usage = await endMeter();
  const sends = sent - sentBefore;
  sent += 1;
  await sender.send(sent);
  await using stored = system.keepsLog
    ? await ReaderGroup.open(system, client, { channel, from: "earliest", count: 1 })
    : undefined;
  const readers = stored ?? live;
  await readers.reached(sent);
  return {
    values: { sendsPerSecond: sends / seconds, serverMicroseconds: (usage.serverCpuSeconds / sends) * 1e6 },
    usage,
    checkedDeliveries: readers.assertComplete(sent),
  };
}
