import { createCoordinationClient } from "@coordination-signals/client";
import { cpuSeconds } from "../load/resource-usage.js";
import { SenderWindow } from "../load/sender-window.js";
import { percentile } from "../load/statistics.js";
import type { ServerProcess } from "../servers/server-process.js";
import { CoordinationSystemClient } from "../systems/coordination/coordination-client.js";
import { PlainSignals } from "../systems/coordination/plain-signals.js";
import type { BenchMode, Measurement, ModeContext } from "./bench-mode.js";

const blockSends = 1_000;
/** Blocks at either end, of which the median counts: one alone is at the mercy of one slow fsync. */
const blocks = 9;
const warmUpBlocks = 12;
const blockTimeoutMs = 30_000;
const limits = { maxUnacknowledged: 100, maxUndelivered: Number.POSITIVE_INFINITY };
const pages = 200;
const warmUpPages = 200;
const pageSize = 100;

/** Whether a long history makes anything slower. */
export const growthMode: BenchMode = {
  title: "cost of 1,000 sends after 100,000 signals, times that of the first",
  description: `${blockSends.toLocaleString("en")} sends, at most ${limits.maxUnacknowledged} unacknowledged, into a coordination with 100,000 signals (a glance: 20,000) and into fresh ones; median of ${blocks} each; and a page of ${pageSize} of its history, after ${warmUpPages} others`,
  figures: {
    ratio: { label: "time of the last, times the first", unit: "×", better: "lower", decimals: 2 },
    serverCpuRatio: { label: "server CPU of the last, times the first", unit: "×", better: "lower", decimals: 2 },
    firstMs: { label: "first 1,000 sends", unit: "ms", better: "lower", decimals: 1 },
    lastMs: { label: "last 1,000 sends", unit: "ms", better: "lower", decimals: 1 },
    pageMs: { label: `history page of ${pageSize}, p50`, unit: "ms", better: "lower", decimals: 2 },
  },
  run: measureGrowth,
};

async function measureGrowth({ scale, startServer }: ModeContext): Promise<Measurement> {
  await using server = await startServer();
  for (let block = 0; block < warmUpBlocks; block += 1)
    await sendBlocks({ server, channel: `warm-up-${block}`, count: 1 });
  const first: Block[] = [];
  for (let block = 0; block < blocks; block += 1) {
    first.push(...(await sendBlocks({ server, channel: `first-${block}`, count: 1 })));
  }
  using plain = new PlainSignals(server.url);
  await plain.fill("grown", { first: 1, last: scale.growthSignals });
  const last = await sendBlocks({ server, channel: "grown", count: blocks });
  const stored = await plain.head("grown");
  const expected = scale.growthSignals + blocks * blockSends;
  if (stored !== expected) throw new Error(`${stored} signals were stored, ${expected} were sent`);
  const [firstMs, lastMs] = [medianOf(first, "ms"), medianOf(last, "ms")];
  return {
    values: {
      ratio: lastMs / firstMs,
      serverCpuRatio: sumOf(last, "serverSeconds") / sumOf(first, "serverSeconds"),
      firstMs,
      lastMs,
      pageMs: await pageP50Ms(server.url),
    },
    checkedDeliveries: stored,
  };
}

interface Block {
  readonly ms: number;
  readonly serverSeconds: number;
}

async function sendBlocks(options: {
  readonly server: ServerProcess;
  readonly channel: string;
  readonly count: number;
}): Promise<readonly Block[]> {
  const client = new CoordinationSystemClient(options.server.url);
  await using sender = await client.openSender(options.channel, "sender-1");
  const window = new SenderWindow(sender, limits, () => 0);
  const sent: Block[] = [];
  for (let block = 0; block < options.count; block += 1) {
    const cpuBefore = await cpuSeconds(options.server);
    const start = performance.now();
    await window.sendFor(blockTimeoutMs, blockSends);
    sent.push({ ms: performance.now() - start, serverSeconds: (await cpuSeconds(options.server)) - cpuBefore });
  }
  return sent;
}

async function pageP50Ms(url: string): Promise<number> {
  await using client = createCoordinationClient({ baseUrl: url });
  const history = client.coordination("grown").history({ pageSize });
  const durations: number[] = [];
  for (let page = 0; page < warmUpPages; page += 1) await history.page();
  for (let page = 0; page < pages; page += 1) {
    const start = performance.now();
    const { signals } = await history.page();
    durations.push(performance.now() - start);
    if (signals.length !== pageSize) throw new Error(`a page has ${signals.length} signals, not ${pageSize}`);
  }
  return percentile(durations, 0.5);
}

function medianOf(measured: readonly Block[], what: keyof Block): number {
  return percentile(
    measured.map((block) => block[what]),
    0.5,
  );
}

function sumOf(measured: readonly Block[], what: keyof Block): number {
  return measured.reduce((sum, block) => sum + block[what], 0);
}
