import { describe, expect, test } from "@jest/globals";
import type { ExistingSession } from "../../server/src/coordination/existing-session.js";
import { type CoordinatorUnderTest, filterOf, openDurable } from "../support/coordinator-under-test.js";
import type { RequestParts } from "../support/log-entries.js";
import { ManualClock } from "../support/manual-clock.js";
import { parsePrometheusText } from "../support/prometheus-text.js";

const coordinations = 10_000;
const atOnce = 500;
const maxIdleCoordinations = 50;

const nameOf = (index: number): string => `workflow-${index}`;

/** What one coordination is sent, each with a request_id. */
function requestsOf(index: number): readonly RequestParts[] {
  const coordinationId = nameOf(index);
  const resolved = { dependencyType: "module", dependencyId: `${index}` };
  return [
    { coordinationId, requestId: "1" },
    { coordinationId, requestId: "2", event: { case: "agentCompleted", value: {} } },
    { coordinationId, requestId: "3", event: { case: "dependencyResolved", value: resolved } },
  ];
}

/** Sends every coordination its signals, some coordinations at once. Answers the outcomes in order. */
async function sendAll(
  subject: CoordinatorUnderTest,
): Promise<readonly (readonly [sequence: bigint, again: boolean])[]> {
  const all: (readonly [bigint, boolean])[] = [];
  for (let first = 0; first < coordinations; first += atOnce) {
    const requests = Array.from({ length: atOnce }, (_, offset) => requestsOf(first + offset)).flat();
    for (const { stored, error } of await subject.sendEach(requests)) {
      if (stored === undefined) throw error;
      all.push([stored.sequence, stored.isDeduplicated]);
    }
    expect(await residentsOf(subject)).toBeLessThanOrEqual(maxIdleCoordinations);
  }
  return all;
}

async function residentsOf(subject: CoordinatorUnderTest): Promise<number> {
  const { body } = await subject.metrics.render();
  return parsePrometheusText(body).value("coordination_resident_coordinations");
}

function stateOf({ session, header }: ExistingSession) {
  return {
    head: header.headSequence,
    sentByType: header.sentByType,
    agents: [...session.agents.values()].map(({ agentId, milestone }) => [agentId, milestone]),
    dependencies: [...session.dependencies.values()].map(({ dependencyId }) => dependencyId),
  };
}

describe("10,000 coordinations on one server", () => {
  test("leave memory when they are idle, and come back on use as they were", async () => {
    // Time stands still: nothing is kept because of a lease that has to be written.
    const clock = new ManualClock();
    await using server = await openDurable({ maxCoordinations: coordinations, maxIdleCoordinations, clock });
    const subject = server.current;
    const expected = (again: boolean) =>
      Array.from({ length: coordinations }, () => [1n, 2n, 3n].map((sequence) => [sequence, again])).flat();

    expect(await sendAll(subject)).toEqual(expected(false));
    expect(subject.store.count()).toBe(coordinations);
    expect(await sendAll(subject)).toEqual(expected(true));

    for (let index = 0; index < coordinations; index++) {
      expect(await subject.coordinator.look(nameOf(index), stateOf)).toEqual({
        head: 3n,
        sentByType: [0, 0, 1, 1, 1],
        agents: [["sender", "completed"]],
        dependencies: [`${index}`],
      });
    }
    expect(await residentsOf(subject)).toBeLessThanOrEqual(maxIdleCoordinations);
    const { header, entries } = await subject.coordinator.readHistory(nameOf(4_711), ({ oldestSequence }) => ({
      order: "oldestFirst",
      fromSequence: oldestSequence - 1n,
      filter: filterOf(undefined),
      maxSignals: 10,
    }));
    expect(header.coordinationId).toBe(nameOf(4_711));
    expect(entries.map(({ signal }) => signal.event.case)).toEqual([
      "interAgentMessage",
      "agentCompleted",
      "dependencyResolved",
    ]);
  }, 120_000);

  test("are in memory as long as they are used, however few are kept idle", async () => {
    await using server = await openDurable({ maxIdleCoordinations: 0 });
    const subject = server.current;
    await subject.send();
    expect(await residentsOf(subject)).toBe(0);
    const reader = subject.subscribe({ start: { at: "earliest" } });
    await reader.until("subscribed");
    expect(await residentsOf(subject)).toBe(1);
    await subject.send();
    expect(await reader.untilSignals(2)).toEqual([1, 2]);
  });
});
