import type { DescMessage } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { services } from "../../../../server/src/rpc/routes.js";
import { RequestValidator } from "../../../../server/src/rpc/validate-request.js";
import { warmUpRules } from "../../../../server/src/rpc/warm-up-rules.js";

class RecordingValidator extends RequestValidator {
  readonly compiled: string[] = [];

  override compile(schema: DescMessage): void {
    super.compile(schema);
    this.compiled.push(schema.typeName);
  }
}

describe("warmUpRules", () => {
  let validator: RecordingValidator;

  beforeEach(() => {
    validator = new RecordingValidator();
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  test("compiles the rules of every type of request once, and ends by itself", () => {
    warmUpRules(validator, services);
    jest.runAllTimers();
    const inputs = services.flatMap(({ methods }) => methods.map(({ input }) => input.typeName));
    expect(validator.compiled).toEqual([...new Set(inputs)]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("begins later, and leaves time for calls after each type", () => {
    warmUpRules(validator, services);
    expect(validator.compiled).toEqual([]);
    jest.runOnlyPendingTimers();
    expect(validator.compiled).toHaveLength(1);
    jest.runOnlyPendingTimers();
    expect(validator.compiled).toHaveLength(2);
  });

  test("stops when it is told to", () => {
    const stop = warmUpRules(validator, services);
    jest.runOnlyPendingTimers();
    stop();
    expect(jest.getTimerCount()).toBe(0);
    jest.runAllTimers();
    expect(validator.compiled).toHaveLength(1);
  });
});
