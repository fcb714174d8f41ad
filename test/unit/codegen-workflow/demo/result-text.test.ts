import { create } from "@bufbuild/protobuf";
import { DeadLetterSchema } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { describe, expect, test } from "@jest/globals";
import { deadLettersText } from "../../../../client-sdk/examples/codegen-workflow/src/demo/result-text.js";
import { SignalSource } from "../workflow/signal-fixtures.js";

describe("deadLettersText", () => {
  test("names what nobody could do, and why", () => {
    const source = new SignalSource();
    const letters = [
      create(DeadLetterSchema, { subscription: "models", signal: source.contract(), detail: "no such type" }),
      create(DeadLetterSchema, { subscription: "requests", signal: source.completed("a"), detail: "" }),
    ];
    expect(deadLettersText(letters, 7n)).toBe(
      ["7 dead letters, which nobody could do:", "  models: star: no such type", "  requests: a signal: "].join("\n"),
    );
  });
});
