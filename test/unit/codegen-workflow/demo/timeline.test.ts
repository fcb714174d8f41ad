import { describe, expect, test } from "@jest/globals";
import { timelineText } from "../../../../client-sdk/examples/codegen-workflow/src/demo/timeline.js";
import { timelineEntryFrom } from "../../../../client-sdk/examples/codegen-workflow/src/demo/timeline-entry.js";
import { SignalSource } from "../workflow/signal-fixtures.js";

const source = new SignalSource();
const entries = [
  source.initialized("model-generator", "model-generation"),
  source.generated("model-generator", "model", "issues"),
  source.initialized("tester", "payload-validation"),
  source.generated("model-generator", "model", "star"),
  source.message("tester", "model-generator", {
    event: { case: "interAgentMessage", value: { messageType: "request", message: "need\nmore" } },
  }),
  source.initialized("model-generator", "model-generation"),
  source.generated("model-generator", "model", "push"),
  source.completed("model-generator"),
  source.completed("tester", "gave up"),
].map(timelineEntryFrom);

describe("timelineText", () => {
  test("draws a lane per agent and a line per run, milestones by themselves", () => {
    expect(timelineText(entries)).toBe(
      [
        "                 0 s                                                   0.80 s",
        "model-generator  █──────█──────────────█──────────────█───────█──────█",
        "tester                          █──────────────█────────────────────────────█",
        "",
        "  0.00 s             model-generator  ready: model-generation",
        "  0.10 s …   0.30 s  model-generator  2 × model: issues … star",
        "  0.20 s             tester           ready: payload-validation",
        "  0.40 s             tester           request to model-generator: need more",
        "  0.50 s             model-generator  ready: model-generation",
        "  0.60 s             model-generator  model: push",
        "  0.70 s             model-generator  completed: quality 0.999: done",
        "  0.80 s             tester           failed: gave up",
      ].join("\n"),
    );
  });

  test("cuts what is too long for a line", () => {
    const long = timelineEntryFrom(new SignalSource().generated("a", "model", "x".repeat(200)));
    for (const line of timelineText([long]).split("\n")) expect(line.length).toBeLessThan(130);
  });

  test("says that there was nothing", () => {
    expect(timelineText([])).toBe("no signals");
  });
});

describe("timelineEntryFrom", () => {
  test("tells validators of variants from those of event types", () => {
    const kindOf = (id: string) => timelineEntryFrom(new SignalSource().generated("v", "validator", id));
    expect(kindOf("star")).toMatchObject({ kind: "validator", detail: "star" });
    expect(kindOf("star#/definitions/star$created")).toMatchObject({
      kind: "variant validator",
      detail: "star$created",
    });
  });

  test("shows a signal of a type that it does not know", () => {
    expect(timelineEntryFrom(new SignalSource().of("a", {})).kind).toBe("signal of a newer type");
  });
});
