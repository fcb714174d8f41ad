import { describe, expect, test } from "@jest/globals";
import type { WaitRecord } from "../../../../server/src/state/wait-record.js";
import { WaitTable } from "../../../../server/src/state/wait-table.js";

const waitOf = (waitId: string, agentId: string): WaitRecord => ({
  waitId,
  agentId,
  conditions: [],
  mode: "all",
  needed: 1,
  independent: false,
  startTimeMs: 0,
  expireTimeMs: 1,
  owner: "server",
  matched: {},
});

const namesOf = (waits: Iterable<WaitRecord>) => Array.from(waits, ({ waitId }) => waitId);

describe("WaitTable", () => {
  test("finds waits by id and by agent, as they are set and removed", () => {
    const table = new WaitTable();
    table.set("a1", waitOf("a1", "a"));
    table.set("a2", waitOf("a2", "a"));
    table.set("b1", waitOf("b1", "b"));
    expect(namesOf(table.all.values())).toEqual(["a1", "a2", "b1"]);
    expect(namesOf(table.ofAgent("a"))).toEqual(["a1", "a2"]);
    table.set("a1", undefined);
    table.set("b1", undefined);
    table.set("never", undefined);
    expect(namesOf(table.all.values())).toEqual(["a2"]);
    expect(namesOf(table.ofAgent("a"))).toEqual(["a2"]);
    expect(namesOf(table.ofAgent("b"))).toEqual([]);
  });

  test("moves a wait that is set anew for another agent", () => {
    const table = new WaitTable();
    table.set("1", waitOf("1", "a"));
    table.set("1", waitOf("1", "b"));
    expect(namesOf(table.ofAgent("a"))).toEqual([]);
    expect(namesOf(table.ofAgent("b"))).toEqual(["1"]);
  });
});
