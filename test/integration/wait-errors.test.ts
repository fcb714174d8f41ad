import { describe, expect, test } from "@jest/globals";
import {
  type CoordinationClient,
  type CoordinationSession,
  DeadlockError,
  DependencyFailedError,
} from "../../client-sdk/src/index.js";
import { eventually } from "../support/eventually.js";
import { newCoordinationId } from "../support/sample-signals.js";
import { sdkForAll } from "../support/sdk-for-all.js";

/** A name of exactly so many characters. */
function longName(index: number, length: number): string {
  return `team/agent-${index}-`.padEnd(length, "x");
}

describe("errors of waits that have much to tell", () => {
  let client: CoordinationClient;
  sdkForAll((started) => {
    client = started;
  });

  const session = (coordinationId: string, agentId: string): CoordinationSession =>
    client.coordination(coordinationId, { agentId });

  /** Has each agent wait for the next one, and the last one for the first; answers what the last one is told. */
  async function loopOf(agentIds: readonly string[]): Promise<unknown> {
    const id = newCoordinationId();
    const aborts = agentIds.map(() => new AbortController());
    const [first = "", ...rest] = agentIds;
    await session(id, first).message({ messageType: "begun" });
    const open = rest.map((next, index) =>
      session(id, agentIds[index] ?? "")
        .waitFor({ agentId: next }, { signal: aborts[index]?.signal })
        .catch((error: unknown) => error),
    );
    await eventually(async () => expect((await session(id, first).waitGraph()).waitCount).toBe(BigInt(rest.length)));
    const refusal = await session(id, agentIds.at(-1) ?? "")
      .waitFor({ agentId: first })
      .catch((error: unknown) => error);
    for (const abort of aborts) abort.abort();
    await Promise.all(open);
    return refusal;
  }

  test.each([
    [12, 150],
    [32, 100],
    [32, 190],
    [60, 60],
    [200, 15],
  ])(
    "a loop of %i agents with names of %i characters is a DeadlockError with the whole path",
    async (count, length) => {
      const agentIds = Array.from({ length: count }, (_, index) => longName(index, length).slice(0, length));
      const refusal = await loopOf(agentIds);
      expect(refusal).toBeInstanceOf(DeadlockError);
      expect(refusal).toMatchObject({
        reason: "DEADLOCK",
        path: [agentIds.at(-1), ...agentIds],
        omittedAgents: 0,
      });
    },
  );

  test("a loop that is too long for an error names whom it can, and says how many it leaves out", async () => {
    const agentIds = Array.from({ length: 60 }, (_, index) => longName(index, 190));
    const refusal = await loopOf(agentIds);
    expect(refusal).toBeInstanceOf(DeadlockError);
    const { path, omittedAgents, reason } = refusal as DeadlockError;
    expect(reason).toBe("DEADLOCK");
    expect(omittedAgents).toBeGreaterThan(0);
    expect(path.at(0)).toBe(agentIds.at(-1));
    expect(path.at(-1)).toBe(agentIds.at(-1));
    expect(path.slice(1, -1)).toEqual(agentIds.slice(0, path.length - 2));
    expect(path.length - 1 + omittedAgents).toBe(agentIds.length);
  });

  test("WAIT_TIMEOUT keeps its reason when many long names are missing, and names agents in whole", async () => {
    const id = newCoordinationId();
    const expectedFrom = Array.from({ length: 8 }, (_, index) => longName(index, 190));
    const conditions = Array.from({ length: 8 }, (_, index) => ({
      dependencyType: "model",
      dependencyId: `${index}${"d".repeat(189)}`,
      expectedFrom,
    }));
    const refusal = await session(id, "w")
      .waitFor(conditions, { timeoutMs: 20 })
      .catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      name: "TimeoutError",
      reason: "WAIT_TIMEOUT",
      metadata: { missing_count: "8", orphan: "true", missing_0: expect.stringContaining("0ddd") },
    });
    const { metadata } = refusal as DeadlockError;
    const named = metadata["missing_0_from"]?.split(",") ?? [];
    expect(named.length).toBeGreaterThan(0);
    expect(expectedFrom).toEqual(expect.arrayContaining(named));
  });

  test("a failure told in Chinese keeps its reason and its text", async () => {
    const id = newCoordinationId();
    const worker = longName(0, 200);
    const error = "错误".repeat(500);
    await session(id, worker).completed({ error });
    const condition = { dependencyType: "model", dependencyId: "模".repeat(200), expectedFrom: [worker] };
    const refusal = await session(id, "w")
      .waitFor(condition)
      .catch((thrown: unknown) => thrown);
    expect(refusal).toBeInstanceOf(DependencyFailedError);
    expect(refusal).toMatchObject({ reason: "DEPENDENCY_FAILED", agentId: worker, metadata: { error } });
  });
});
