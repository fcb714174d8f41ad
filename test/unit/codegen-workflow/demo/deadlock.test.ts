import { describe, expect, test } from "@jest/globals";
import { deadlockArgs, deadlockText } from "../../../../client-sdk/examples/codegen-workflow/src/demo/deadlock.js";
import { SignalSource } from "../workflow/signal-fixtures.js";

describe("deadlockArgs", () => {
  test("makes the generators wait for each other, and nobody else", () => {
    expect(deadlockArgs("model-generator")).toEqual(["--after", "validator-generator"]);
    expect(deadlockArgs("validator-generator")).toEqual(["--after", "model-generator"]);
    expect(deadlockArgs("test-runner")).toEqual([]);
  });
});

describe("deadlockText", () => {
  test("names who was refused, and why", () => {
    const source = new SignalSource();
    const said = (messageType: string) =>
      source.of("a", {
        event: { case: "interAgentMessage", value: { messageType, message: "DEADLOCK: a -> b -> a" } },
      });
    expect(deadlockText([said("small talk"), said("deadlock-refused")])).toBe(
      [
        "model-generator and validator-generator were each told to begin when the other one has completed:",
        "  the wait of a was refused (DEADLOCK: a -> b -> a), so it went first",
      ].join("\n"),
    );
  });

  test("is missing when nobody was refused", () => {
    expect(deadlockText([new SignalSource().contract()])).toBeUndefined();
  });
});
