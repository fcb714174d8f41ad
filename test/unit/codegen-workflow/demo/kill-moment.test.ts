import { describe, expect, test } from "@jest/globals";
import type { AgentName } from "../../../../client-sdk/examples/codegen-workflow/src/demo/agent-names.js";
import { KillMoment } from "../../../../client-sdk/examples/codegen-workflow/src/demo/kill-moment.js";
import { SignalSource } from "../workflow/signal-fixtures.js";

/** The sequences at which the moment has come. */
function momentsOf(agent: AgentName, make: (source: SignalSource) => readonly ReturnType<SignalSource["of"]>[]) {
  const moment = new KillMoment(agent, 3);
  return make(new SignalSource())
    .filter((signal) => moment.hasCome(signal))
    .map(({ sequence }) => Number(sequence));
}

describe("KillMoment.hasCome", () => {
  test("comes once, when a generator has made half of few artifacts", () => {
    expect(
      momentsOf("model-generator", (source) => [
        source.initialized("model-generator"),
        source.generated("validator-generator", "validator", "a"),
        source.generated("model-generator", "model", "a"),
        source.generated("model-generator", "model", "b"),
        source.generated("model-generator", "model", "c"),
      ]),
    ).toEqual([4]);
  });

  test("does not count what a generator makes on request", () => {
    expect(
      momentsOf("validator-generator", (source) => [
        source.initialized("validator-generator"),
        source.generated("validator-generator", "validator", "a"),
        source.generated("validator-generator", "validator", "a#/definitions/a$created"),
        source.generated("validator-generator", "validator", "b"),
      ]),
    ).toEqual([4]);
  });

  test("comes with the parser's first contract", () => {
    expect(
      momentsOf("contract-parser", (source) => [source.initialized("contract-parser"), source.contract()]),
    ).toEqual([2]);
  });

  test("comes when the test runner is there and has something to validate", () => {
    expect(
      momentsOf("test-runner", (source) => [
        source.generated("validator-generator", "validator", "a"),
        source.generated("validator-generator", "validator", "b"),
        source.initialized("test-runner"),
      ]),
    ).toEqual([3]);
  });
});
