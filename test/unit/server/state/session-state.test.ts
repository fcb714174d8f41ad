import { describe, expect, test } from "@jest/globals";
import { unknownAgent } from "../../../../server/src/state/agent-record.js";
import { type DurableChange, SessionState } from "../../../../server/src/state/session-state.js";
import { entryAt, headerOf } from "../../../support/log-entries.js";

const everything = { agentId: "", typeMask: 0b11110, includeOwn: false };

function changeOf(parts: Partial<DurableChange>): DurableChange {
  return {
    nowMs: 1_000,
    header: headerOf({ headSequence: 1n }),
    entries: [],
    changedAgents: new Map(),
    movedAgents: new Set(),
    changedDependencies: new Map(),
    waitChanges: undefined,
    endedWaits: new Set(),
    droppedWaits: 0,
    subscriptionChanges: {
      definitions: new Map(),
      scans: new Map(),
      deliveries: new Map(),
      deadLetters: new Map(),
      acknowledged: new Map(),
      required: new Map(),
      totals: undefined,
    },
    removedAfterSequence: undefined,
    isRemoved: false,
    ...parts,
  };
}

/** A session with one signal, and whether its parked observer and its parked stranger to signals were woken by a change. */
function wokenBy(change: DurableChange): { readonly observer: boolean; readonly bystander: boolean } {
  const session = new SessionState("c", { header: headerOf({ headSequence: 1n }), records: [] }, "0");
  const woken = { observer: false, bystander: false };
  session.readers.park({
    interest: everything,
    wake: () => {
      woken.observer = true;
    },
  });
  session.readers.park({
    interest: { agentId: "bystander", typeMask: 0, includeOwn: false },
    wake: () => {
      woken.bystander = true;
    },
  });
  session.apply(change);
  return woken;
}

describe("SessionState.apply", () => {
  test("wakes for signals those whom they concern", () => {
    const change = changeOf({ header: headerOf({ headSequence: 2n }), entries: [entryAt(2n)] });
    expect(wokenBy(change)).toEqual({ observer: true, bystander: false });
  });

  test("wakes nobody for what is no signal and changes no reader's view", () => {
    const header = headerOf({ headSequence: 1n, revision: 2n });
    expect(wokenBy(changeOf({ header }))).toEqual({ observer: false, bystander: false });
  });

  test.each([
    ["closed", { header: headerOf({ headSequence: 1n, closeTimeMs: 5 }) }],
    ["rolled back", { header: headerOf({ headSequence: 1n, generation: 1 }), removedAfterSequence: 0n }],
    ["removed", { isRemoved: true }],
  ])("wakes everybody when the coordination is %s", (_, parts) => {
    expect(wokenBy(changeOf(parts))).toEqual({ observer: true, bystander: true });
  });

  test("wakes everybody when the coordination begins", () => {
    const session = new SessionState("c", undefined, "0");
    let woken = 0;
    session.readers.park({
      interest: { agentId: "a", typeMask: 0, includeOwn: false },
      wake: () => {
        woken += 1;
      },
    });
    session.apply(changeOf({ entries: [entryAt(1n)] }));
    expect(woken).toBe(1);
    expect(session.tail.readAfter(0n, 10, 1_000)).toHaveLength(1);
  });

  test("forgets everything of a coordination that was removed, also when its agents were last heard of", () => {
    const agent = { ...unknownAgent("sender", 1_000), isRegistered: true };
    const session = new SessionState("c", undefined, "0");
    session.apply(changeOf({ entries: [entryAt(1n)], changedAgents: new Map([["sender", agent]]) }));
    session.metrics.count("a", 4, 1, 1);
    expect(session.activity.lastProgressMs(agent)).toBe(1_000);
    session.apply(changeOf({ isRemoved: true }));
    expect(session.header).toBeUndefined();
    expect([session.agents.size, session.dependencies.size, session.metrics.received.size]).toEqual([0, 0, 0]);
    expect(session.tail.readAfter(0n, 10, 1_000)).toEqual([]);
    expect(session.activity.lastProgressMs(agent)).toBe(0);
    expect(session.activity.lastHeardMs(agent, 9_000)).toBe(0);
  });

  test("hears on of agents whose subscriptions outlive the coordination", () => {
    const session = new SessionState("c", { header: headerOf(), records: [] }, "0");
    session.activity.subscriptionOpened("a");
    session.apply(changeOf({ isRemoved: true }));
    expect(session.activity.lastHeardMs(unknownAgent("a", 1_000), 9_000)).toBe(9_000);
  });
});

describe("SessionState from a store", () => {
  test("has agents, and dependencies in the order of their resolution", () => {
    const record = (kind: "agent" | "dependency", key: string, value: unknown) => ({
      kind,
      key,
      value: Buffer.from(JSON.stringify(value)),
    });
    const dependency = (dependencyId: string, sequence: string) =>
      record("dependency", `t\n${dependencyId}`, { dependencyType: "t", dependencyId, resolvedBy: "a", sequence });
    const records = [
      dependency("first by name", "10"),
      record("agent", "a", unknownAgent("a", 5)),
      dependency("second", "9"),
    ];
    const session = new SessionState("c", { header: headerOf({ headSequence: 12n }), records }, "0");
    expect([...session.agents.keys()]).toEqual(["a"]);
    expect([...session.dependencies.values()].map(({ dependencyId }) => dependencyId)).toEqual([
      "second",
      "first by name",
    ]);
    expect(session.tail.floorSequence).toBe(12n);
  });
});
