import { create } from "@bufbuild/protobuf";
import { CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import { signalSummary } from "../../../../../server/src/coordination/timeline/signal-summary.js";

type Event = Parameters<typeof create<typeof CoordinationSignalSchema>>[1] extends infer Init | undefined
  ? Init extends { event?: infer E }
    ? E
    : never
  : never;

const summaryOf = (event?: Event) => signalSummary(create(CoordinationSignalSchema, event && { event }));

describe("signalSummary", () => {
  test("says in a line what each event says", () => {
    expect(summaryOf({ case: "agentInitialized", value: {} })).toBe("initialized");
    expect(summaryOf({ case: "agentInitialized", value: { ready: true } })).toBe("initialized, ready");
    expect(summaryOf({ case: "agentCompleted", value: { resultSummary: "5 models" } })).toBe("completed 5 models");
    expect(summaryOf({ case: "agentCompleted", value: { error: "no\ndisk" } })).toBe("failed no disk");
    expect(summaryOf({ case: "dependencyResolved", value: { dependencyType: "m", dependencyId: "U" } })).toBe(
      'resolved m "U"',
    );
    expect(summaryOf({ case: "interAgentMessage", value: { messageType: "ask" } })).toBe("ask");
    expect(summaryOf()).toBe("");
  });

  test("is cut at 100 characters, none of which is cut in two", () => {
    const summary = summaryOf({ case: "agentCompleted", value: { resultSummary: "\u{1f44d}".repeat(1_000) } });
    expect(Array.from(summary)).toHaveLength(100);
    expect(Buffer.from(summary).toString()).toBe(summary);
    expect(summary.endsWith("\u{1f44d}...")).toBe(true);
  });
});
