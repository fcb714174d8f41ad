import { describe, expect, test } from "@jest/globals";
import { Progress } from "../../../../client-sdk/examples/codegen-workflow/src/demo/progress.js";
import { timelineEntryFrom } from "../../../../client-sdk/examples/codegen-workflow/src/demo/timeline-entry.js";
import { SignalSource } from "../workflow/signal-fixtures.js";

describe("Progress.show", () => {
  test("shows milestones, the first of a kind, and each quarter of the event types", () => {
    const lines: string[] = [];
    const progress = new Progress(40, (line) => lines.push(line));
    const source = new SignalSource();
    progress.show(timelineEntryFrom(source.initialized("g", "model-generation")));
    for (let index = 1; index <= 40; index += 1) {
      progress.show(timelineEntryFrom(source.generated("g", "model", `m${index}`)));
    }
    progress.show(timelineEntryFrom(source.completed("g")));
    progress.note("and that was it");
    expect(lines.map((line) => line.replace(/^ +\S+ s +g +/, "").trim())).toEqual([
      "ready: model-generation",
      "first model: m1",
      "10 × model",
      "20 × model",
      "30 × model",
      "40 × model",
      "completed: quality 0.999: done",
      "and that was it",
    ]);
  });
});
