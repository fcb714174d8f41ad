import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  SendSignalRequestSchema,
  SendSignalResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { sendRequest } from "../load/bench-signal.js";
import { ReaderGroup } from "../load/reader-group.js";
import { meterUsage } from "../load/resource-usage.js";
import { percentile } from "../load/statistics.js";
import { Http2Connection } from "../systems/limits/http2-client.js";
import { relayPaths } from "../systems/limits/relay.js";
import type { BenchMode, Measurement, ModeContext } from "./bench-mode.js";

const channel = "bench";
const callers = 64;

/** What an agent in any language does with nothing but the contract. */
export const unaryMode: BenchMode = {
  title: `plain gRPC SendSignal, ${callers} at once, calls/s`,
  description: `unary SendSignal without the SDK, ${callers} calls in flight on one connection, from a client on bare node:http2 that costs as little as it can; the limits decode, validate and encode the same`,
  figures: {
    callsPerSecond: { label: "calls", unit: "/s", better: "higher", decimals: 0 },
    serverCallsPerSecond: { label: "calls per second of server CPU", unit: "/s", better: "higher", decimals: 0 },
    p50Ms: { label: "p50", unit: "ms", better: "lower", decimals: 2 },
  },
  run: measureUnary,
};

async function measureUnary({ system, scale, startServer }: ModeContext): Promise<Measurement> {
  await using server = await startServer();
  await using connection = await Http2Connection.open(server.url);
  const answers = new AnswerCheck();
  const sent = new Array<number>(callers).fill(0);
  const callFor = async (durationMs: number): Promise<readonly number[]> => {
    const durations: number[] = [];
    const end = performance.now() + durationMs;
    const caller = async (_: unknown, index: number) => {
      while (performance.now() < end) {
        const number = (sent[index] ?? 0) + 1;
        sent[index] = number;
        const start = performance.now();
        answers.take(await connection.call(relayPaths.sendSignal, encodeRequest(index, number)));
        durations.push(performance.now() - start);
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return durations;
  };
  await callFor(scale.warmUpMs);
  const endMeter = await meterUsage(server);
  const start = performance.now();
  const durations = await callFor(scale.measureMs);
  const seconds = (performance.now() - start) / 1_000;
  const usage = await endMeter();
  const total = sent.reduce((sum, count) => sum + count, 0);
  answers.assertComplete(total);
  return {
    values: {
      callsPerSecond: durations.length / seconds,
      serverCallsPerSecond: durations.length / usage.serverCpuSeconds,
      p50Ms: percentile(durations, 0.5),
    },
    usage,
    checkedDeliveries: system.keepsLog ? await readBack({ system, url: server.url, total }) : total,
  };
}

function encodeRequest(index: number, number: number): Uint8Array {
  return toBinary(SendSignalRequestSchema, sendRequest(channel, `sender-${index}`, number));
}

/** Every answer names a position of its own, from 1 on. */
class AnswerCheck {
  readonly #sequences = new Set<bigint>();
  #head = 0n;

  take(bytes: Uint8Array): void {
    const { sequence } = fromBinary(SendSignalResponseSchema, bytes);
    this.#sequences.add(sequence);
    if (sequence > this.#head) this.#head = sequence;
  }

  assertComplete(total: number): void {
    if (this.#sequences.size !== total || this.#head !== BigInt(total)) {
      throw new Error(`${total} calls were answered with ${this.#sequences.size} positions up to ${this.#head}`);
    }
  }
}

async function readBack(stored: {
  readonly system: ModeContext["system"];
  readonly url: string;
  readonly total: number;
}): Promise<number> {
  await using client = stored.system.connect(stored.url);
  await using readers = await ReaderGroup.open(stored.system, client, { channel, from: "earliest", count: 1 });
  await readers.reached(stored.total);
  return readers.assertComplete(stored.total);
}
