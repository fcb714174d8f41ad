import { rm } from "node:fs/promises";
import { createCoordinationClient } from "@coordination-signals/client";
import { identifiedRequest } from "../load/bench-signal.js";
import { createDataDirectory } from "../servers/server-process.js";
import { sendMessage } from "../systems/coordination/coordination-client.js";
import { PlainSignals } from "../systems/coordination/plain-signals.js";
import type { BenchMode, Measurement, ModeContext } from "./bench-mode.js";

const channel = "bench";
/** How long batches are sent before the server is killed among them, in milliseconds. */
const untilKillMs = 300;
const batchSignals = 1_000;
const maxBatches = 10_000;

/** How soon a server is back after it was killed. */
export const recoveryMode: BenchMode = {
  title: "recovery after kill -9, s",
  description:
    "1,000,000 stored signals with request_ids in one coordination (a glance: 50,000), kill -9 among sends, start on the same data: until the first answer, which is a page of history, and until the first acknowledged send; everything acknowledged before must be there",
  figures: {
    firstAnswerSeconds: { label: "first page of history", unit: "s", better: "lower", decimals: 2 },
    firstSendSeconds: { label: "first acknowledged send", unit: "s", better: "lower", decimals: 2 },
    signals: { label: "signals found", unit: "", better: "higher", decimals: 0 },
  },
  run: measureRecovery,
};

async function measureRecovery({ scale, startServer }: ModeContext): Promise<Measurement> {
  const directory = await createDataDirectory();
  try {
    const acknowledged = await fillAndKill({ startServer, directory, signals: scale.recoverySignals });
    const start = performance.now();
    const seconds = () => (performance.now() - start) / 1_000;
    await using server = await startServer({ directory });
    await using client = createCoordinationClient({ baseUrl: server.url });
    const session = client.coordination(channel, { agentId: "sender-1" });
    const page = await session.history().page();
    const firstAnswerSeconds = seconds();
    await sendMessage(session, 1);
    const firstSendSeconds = seconds();
    const head = Number(page.signals[0]?.sequence ?? 0n);
    if (head < acknowledged) throw new Error(`${acknowledged} signals were acknowledged, ${head} were found`);
    return { values: { firstAnswerSeconds, firstSendSeconds, signals: head }, checkedDeliveries: head };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Answers how many signals were acknowledged before the kill. */
async function fillAndKill(options: {
  readonly startServer: ModeContext["startServer"];
  readonly directory: string;
  readonly signals: number;
}): Promise<number> {
  const server = await options.startServer({ directory: options.directory });
  using plain = new PlainSignals(server.url);
  await plain.fill(channel, { first: 1, last: options.signals }, identifiedRequest);
  const killed = new Promise<void>((resolve, reject) => {
    setTimeout(() => server.stop("SIGKILL").then(resolve, reject), untilKillMs);
  });
  const acknowledged = await sendUntilItFails(plain, options.signals);
  await killed;
  await server[Symbol.asyncDispose]();
  return acknowledged;
}

async function sendUntilItFails(plain: PlainSignals, stored: number): Promise<number> {
  let acknowledged = stored;
  for (let batch = 0; batch < maxBatches; batch += 1) {
    const requests = Array.from({ length: batchSignals }, (_, index) =>
      identifiedRequest(channel, "sender-0", acknowledged + index + 1),
    );
    try {
      await plain.send(requests);
    } catch {
      // The server was killed.
      return acknowledged;
    }
    acknowledged += batchSignals;
  }
  throw new Error("the server was not killed");
}
