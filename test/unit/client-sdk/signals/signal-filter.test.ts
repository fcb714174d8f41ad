import { Priority, SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import { InvalidRequestError } from "../../../../client-sdk/src/errors/coordination-client-error.js";
import {
  assertKnownOptions,
  type SignalFilterOptions,
  signalFilterFrom,
} from "../../../../client-sdk/src/signals/signal-filter.js";

describe("signalFilterFrom", () => {
  test("has every part", () => {
    const filter = signalFilterFrom({
      types: ["agentInitialized", "agentCompleted", "dependencyResolved", "interAgentMessage"],
      senders: ["model-*"],
      minPriority: "high",
      metadata: { key: "value" },
      expression: "true",
      afterTime: new Date(1_000),
      beforeTime: new Date(2_500),
    });
    expect(filter).toMatchObject({
      signalTypes: [
        SignalType.AGENT_INITIALIZED,
        SignalType.AGENT_COMPLETED,
        SignalType.DEPENDENCY_RESOLVED,
        SignalType.INTER_AGENT_MESSAGE,
      ],
      senderAgentIds: ["model-*"],
      minPriority: Priority.HIGH,
      metadata: { key: "value" },
      expression: "true",
      afterTime: { seconds: 1n, nanos: 0 },
      beforeTime: { seconds: 2n, nanos: 500_000_000 },
    });
  });

  test("matches everything when nothing is given", () => {
    expect(signalFilterFrom({ types: undefined })).toMatchObject({
      signalTypes: [],
      senderAgentIds: [],
      minPriority: Priority.UNSPECIFIED,
      metadata: {},
      expression: "",
    });
  });

  test.each<[string, object]>([
    ["no types", { types: [] }],
    ["a type that is none", { types: ["dependency_resolved"] }],
    ["a type that every object has", { types: ["toString"] }],
    ["no senders", { senders: [] }],
    ["a priority that is none", { minPriority: "urgent" }],
  ])("refuses %s", (_, options) => {
    expect(() => signalFilterFrom(options as SignalFilterOptions)).toThrow(InvalidRequestError);
  });
});

describe("assertKnownOptions", () => {
  test("refuses an option that would be ignored, and names those there are", () => {
    expect(() => assertKnownOptions({ type: ["agentCompleted"] }, ["types"])).toThrow(
      'unknown option "type", known are types',
    );
  });
});
