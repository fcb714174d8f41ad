import type { ExpectedOrder } from "../load/delivery-check.js";
import { meterUsage } from "../load/resource-usage.js";
import { SenderWindow } from "../load/sender-window.js";
import { percentile } from "../load/statistics.js";
import type { SystemClient } from "../systems/system-client.js";
import type { BenchMode, Measurement, ModeContext } from "./bench-mode.js";

const channel = "bench";
const readCount = 10_000;
const reads = 9;
const fillTimeoutMs = 120_000;

/** Reading what was stored. */
export const readBackMode: BenchMode = {
  title: `last ${readCount.toLocaleString("en")} read back, ms`,
  description: `the last ${readCount.toLocaleString("en")} messages of a channel read back and decoded, on a new connection; median of ${reads} reads`,
  figures: {
    readMs: { label: "read back", unit: "ms", better: "lower", decimals: 1 },
    firstReadMs: { label: "first read", unit: "ms", better: "lower", decimals: 1 },
  },
  run: measureReadBack,
};

async function measureReadBack({ system, scale, startServer }: ModeContext): Promise<Measurement> {
  await using server = await startServer();
  await using client = system.connect(server.url);
  const sent = await fill(client, scale.historyMessages);
  const durations: number[] = [];
  const endMeter = await meterUsage(server);
  for (let read = 0; read < reads; read += 1) durations.push(await readAndCheck(client, sent, system.order));
  return {
    values: { readMs: percentile(durations, 0.5), firstReadMs: durations[0] ?? Number.NaN },
    usage: await endMeter(),
    checkedDeliveries: reads * readCount,
  };
}

async function fill(client: SystemClient, messages: number): Promise<number> {
  await using sender = await client.openSender(channel, "sender-0");
  const limits = { maxUnacknowledged: 1_000, maxUndelivered: Number.POSITIVE_INFINITY };
  const window = new SenderWindow(sender, limits, () => 0);
  await window.sendFor(fillTimeoutMs, messages);
  if (window.sent < messages)
    throw new Error(`${window.sent} of ${messages} messages were stored in ${fillTimeoutMs} ms`);
  return window.sent;
}

async function readAndCheck(client: SystemClient, sent: number, order: ExpectedOrder): Promise<number> {
  const found = new Set<number>();
  let least = Number.POSITIVE_INFINITY;
  let calls = 0;
  const start = performance.now();
  await client.readLast?.(channel, readCount, (_, number) => {
    found.add(number);
    calls += 1;
    least = Math.min(least, number);
  });
  const duration = performance.now() - start;
  // Where messages overtake each other on their way in, the last ones stored are not the last ones sent.
  const isOldestWrong = order === "published" && least !== sent - readCount + 1;
  if (calls !== readCount || found.size !== readCount || isOldestWrong) {
    throw new Error(
      `${found.size} (${calls} in all) of the last ${readCount} messages were read back, the oldest was ${least} of ${sent}`,
    );
  }
  return duration;
}
