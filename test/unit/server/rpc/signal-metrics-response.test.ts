import { toBinary, toJsonString } from "@bufbuild/protobuf";
import {
  type GetSignalMetricsResponse,
  GetSignalMetricsResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { signalTypes } from "../../../../server/src/model/signal-type.js";
import { signalMetricsResponse } from "../../../../server/src/rpc/signal-metrics-response.js";
import type { SessionMetrics } from "../../../../server/src/state/session-metrics.js";
import { CoordinatorUnderTest } from "../../../support/coordinator-under-test.js";

const maxAnswerBytes = 4 * 1024 * 1024;

/** The answer for a coordination of which something was counted. */
async function answerAfter(count: (metrics: SessionMetrics) => void): Promise<GetSignalMetricsResponse> {
  await using subject = new CoordinatorUnderTest();
  await subject.send();
  return subject.coordinator.look("c", (existing) => {
    count(existing.session.metrics);
    return signalMetricsResponse(existing);
  });
}

describe("signalMetricsResponse: received counts", () => {
  test("total what agents beyond 10,000 received, too, and say how much is not listed", async () => {
    const answer = await answerAfter((metrics) => {
      for (let index = 0; index < 10_007; index++) metrics.count(`agent-${index}`, 4, 1, undefined);
      metrics.count("agent-10006", 1, 1, undefined);
    });
    expect(answer).toMatchObject({
      totalSignalsReceived: 10_008n,
      signalsReceivedByType: { AGENT_INITIALIZED: 1n, INTER_AGENT_MESSAGE: 10_007n },
      unlistedSignalsReceived: 8n,
    });
    expect(Object.keys(answer.signalsReceivedByAgent)).toHaveLength(10_000);
  });

  test("leave nothing unlisted where there are few agents", async () => {
    const answer = await answerAfter((metrics) => {
      for (const agentId of ["", "a", "a"]) metrics.count(agentId, 4, 1, undefined);
    });
    expect(answer).toMatchObject({
      totalSignalsReceived: 3n,
      unlistedSignalsReceived: 0n,
      signalsReceivedByAgent: { "": 1n, a: 2n },
    });
  });

  test("list the agents that received most where the names of all are more than an answer holds", async () => {
    const longName = (index: number): string => `${index}`.padEnd(200, "x");
    const agents = 10_000;
    const answer = await answerAfter((metrics) => {
      for (let index = 0; index < agents; index++) {
        for (const type of signalTypes) metrics.count(longName(index), type, 1, undefined);
      }
      metrics.count(longName(agents - 1), 4, 1, undefined);
    });
    expect(toBinary(GetSignalMetricsResponseSchema, answer).length).toBeLessThan(maxAnswerBytes);
    expect(toJsonString(GetSignalMetricsResponseSchema, answer).length).toBeLessThan(maxAnswerBytes);
    expect(answer.signalsReceivedByAgent[longName(agents - 1)]).toBe(5n);
    const listed = Object.values(answer.signalsReceivedByAgent).reduce((sum, count) => sum + count, 0n);
    expect(listed).toBeGreaterThan(8_000n);
    expect(answer).toMatchObject({ totalSignalsReceived: 40_001n, unlistedSignalsReceived: 40_001n - listed });
    expect(answer.receivedCounts).toHaveLength(4 * Object.keys(answer.signalsReceivedByAgent).length);
  });
});
