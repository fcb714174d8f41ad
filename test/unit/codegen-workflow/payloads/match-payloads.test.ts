import { describe, expect, test } from "@jest/globals";
import { matchPayloads } from "../../../../client-sdk/examples/codegen-workflow/src/payloads/match-payloads.js";

const payload = (source: string, ...eventTypeHints: string[]) => ({ source, eventTypeHints, value: {} });

describe("matchPayloads", () => {
  test("gives a payload to the first of its hints that is an event type", () => {
    const found = { payloads: [payload("a.json", "opened", "issues", "star")], rejected: [] };
    const { byEventType } = matchPayloads(found, ["star", "issues"]);
    expect(byEventType.get("issues")).toHaveLength(1);
    expect(byEventType.get("star")).toEqual([]);
  });

  test("gives every payload to the only event type", () => {
    const found = { payloads: [payload("a.json", "a"), payload("b.json", "b")], rejected: [] };
    expect(matchPayloads(found, ["order"]).byEventType.get("order")).toHaveLength(2);
  });

  test("rejects by name what no contract is for, beside what was rejected before", () => {
    const found = {
      payloads: [payload("x/a.json", "a", "x")],
      rejected: [{ source: "b.json", reason: "is not JSON" }],
    };
    expect(matchPayloads(found, ["star", "issues"]).rejected).toEqual([
      { source: "b.json", reason: "is not JSON" },
      { source: "x/a.json", reason: 'no contract is named "a" or "x"' },
    ]);
  });
});
