import { create } from "@bufbuild/protobuf";
import {
  type GetSignalMetricsResponse,
  GetSignalMetricsResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { ExistingSession } from "../coordination/existing-session.js";
import { LatencyHistogram } from "../metrics/latency-histogram.js";
import { signalTypeName, signalTypes } from "../model/signal-type.js";
import type { SessionMetrics } from "../state/session-metrics.js";

const maxLags = 100;
const maxListedAgents = 10_000;
/** What clients take is 4 MiB, which also holds the rest of the answer. */
const maxListedBytes = 4_000_000;
/** What an agent's count takes beside its name, in the longer of the two encodings, JSON. */
const entryBytes = 100;

/** A coordination's metrics as the contract's message. */
export function signalMetricsResponse({ session, header }: ExistingSession): GetSignalMetricsResponse {
  const { allMetrics, subscriptions } = session;
  const propagation = new LatencyHistogram();
  for (const metrics of allMetrics) propagation.merge(metrics.propagation);
  const lags = [...subscriptions].map(({ agentId, positionSequence }) => ({
    agentId,
    positionSequence,
    deliveryLag: header.headSequence > positionSequence ? header.headSequence - positionSequence : 0n,
  }));
  lags.sort((a, b) => Number(b.deliveryLag - a.deliveryLag));
  return create(GetSignalMetricsResponseSchema, {
    totalSignalsSent: BigInt(sumOf(header.sentByType)),
    signalsByType: countsByType(header.sentByType),
    ...receivedCounts(allMetrics),
    averagePropagationMs: propagation.count === 0 ? 0 : propagation.sum / propagation.count,
    p50PropagationMs: propagation.quantile(0.5),
    p99PropagationMs: propagation.quantile(0.99),
    maxPropagationMs: propagation.max,
    activeSubscriptions: BigInt(subscriptions.size),
    headSequence: header.headSequence,
    oldestSequence: header.oldestSequence,
    epoch: header.epoch,
    subscriptionLags: lags.slice(0, maxLags),
  });
}

function receivedCounts(allMetrics: readonly SessionMetrics[]) {
  const byAgent: Record<string, bigint> = {};
  const byType = new Array<number>(signalTypes.length + 1).fill(0);
  for (const { receivedByType } of allMetrics) {
    for (const signalType of signalTypes)
      byType[signalType] = (byType[signalType] ?? 0) + (receivedByType[signalType] ?? 0);
  }
  const total = sumOf(byType);
  const receivedCounts = [];
  let listed = 0;
  for (const { agentId, counts, sum } of listedAgents(countsByAgent(allMetrics))) {
    for (const signalType of signalTypes) {
      const count = counts[signalType] ?? 0;
      if (count > 0) receivedCounts.push({ agentId, signalType, count: BigInt(count) });
    }
    byAgent[agentId] = BigInt(sum);
    listed += sum;
  }
  return {
    totalSignalsReceived: BigInt(total),
    unlistedSignalsReceived: BigInt(total - listed),
    signalsReceivedByAgent: byAgent,
    signalsReceivedByType: countsByType(byType),
    receivedCounts,
  };
}

interface AgentCounts {
  readonly agentId: string;
  readonly counts: readonly number[];
  readonly sum: number;
}

/** The agents that received most, as many as an answer has room for. */
function listedAgents(countsOfAgents: ReadonlyMap<string, readonly number[]>): readonly AgentCounts[] {
  const agents = [...countsOfAgents].map(([agentId, counts]) => ({ agentId, counts, sum: sumOf(counts) }));
  agents.sort((a, b) => b.sum - a.sum);
  let bytes = 0;
  const end = agents.findIndex(({ agentId, counts }) => {
    const entries = counts.filter((count) => count > 0).length + 1;
    bytes += entries * (agentId.length + entryBytes);
    return bytes > maxListedBytes;
  });
  return agents.slice(0, Math.min(maxListedAgents, end < 0 ? agents.length : end));
}

/** Counts per receiving agent, indexed by type, of all servers together. */
function countsByAgent(allMetrics: readonly SessionMetrics[]): ReadonlyMap<string, readonly number[]> {
  const sums = new Map<string, number[]>();
  for (const { received } of allMetrics) {
    for (const [agentId, counts] of received) {
      const sum = sums.get(agentId);
      sums.set(agentId, sum === undefined ? [...counts] : sum.map((count, type) => count + (counts[type] ?? 0)));
    }
  }
  return sums;
}

function countsByType(counts: readonly number[]): Record<string, bigint> {
  return Object.fromEntries(
    signalTypes.flatMap((type) => {
      const count = counts[type] ?? 0;
      return count === 0 ? [] : [[signalTypeName(type), BigInt(count)]];
    }),
  );
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
