import { create } from "@bufbuild/protobuf";
import { DurationSchema, durationFromMs } from "@bufbuild/protobuf/wkt";
import { createValidator } from "@bufbuild/protovalidate";
import {
  type WaitForRequest,
  WaitForRequestSchema,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import {
  AgentConditionSchema,
  DependencyConditionSchema,
  WaitConditionSchema,
} from "@coordination-signals/proto/coordination/v1/wait";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { isPlainWait } from "../../../../server/src/rpc/plain-wait.js";
import { number, present, rulesOf, text, texts } from "../../../support/contract-rules.js";
import { completionOf, initialisationOf, messageOfType, model } from "../../../support/waiting.js";

const validator = createValidator();

const request = (parts: object): WaitForRequest =>
  create(WaitForRequestSchema, {
    coordinationId: "c",
    agentId: "a",
    conditions: [model("User")],
    ...parts,
  });

const condition = fc.oneof(
  fc
    .record({ dependencyType: text, dependencyId: text, expectedFrom: texts })
    .map((value) => ({ condition: { case: "dependency", value } })),
  fc
    .record({
      agentId: text,
      milestone: fc.constantFrom(-1, 0, 1, 2, 3),
      minQualityScore: number,
    })
    .map((value) => ({ condition: { case: "agent", value: present(value) } })),
  fc.record({ expression: text }).map((value) => ({ condition: { case: "signal", value } })),
  fc.constant({ condition: { case: undefined } }),
);
const conditions = fc.oneof(
  { weight: 6, arbitrary: fc.array(condition, { minLength: 1, maxLength: 3 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0, 99, 100, 101).map((count) => Array(count).fill(model("User"))),
  },
);
const timeout = fc
  .record({
    seconds: fc.constantFrom(0n, 0n, 1n, 3_599n, 3_600n, 3_601n, -1n, 2n ** 62n),
    nanos: fc.constantFrom(0, 0, 1, 999_999, 1_000_000, 999_999_999, 1_000_000_000, -1, -1_000_000),
  })
  .map((value) => create(DurationSchema, value));
const parts = fc
  .record(
    {
      coordinationId: text,
      agentId: text,
      conditions,
      mode: fc.constantFrom(-1, 0, 1, 2, 3, 4),
      atLeast: fc.constantFrom(0, 1, 99, 100, 101),
      timeout,
      independent: fc.boolean(),
    },
    { requiredKeys: [] },
  )
  .map(present);

describe("isPlainWait", () => {
  test("says so of nothing that the contract's rules refuse", () => {
    let plain = 0;
    fc.assert(
      fc.property(parts, (random) => {
        const made = request(random);
        if (!isPlainWait(made)) return;
        plain += 1;
        expect(validator.validate(WaitForRequestSchema, made)).toMatchObject({
          kind: "valid",
        });
      }),
      { numRuns: 3_000 },
    );
    // A check that says no to everything would pass.
    expect(plain).toBeGreaterThan(100);
  });

  test("says so of what agents wait for, but where it is for signals", () => {
    const plain = [
      {
        conditions: [model("User", "a", "b"), completionOf("a", 0.5), initialisationOf("b")],
      },
      { mode: 3, atLeast: 1, timeout: durationFromMs(1), independent: true },
      { timeout: durationFromMs(3_599_999) },
    ];
    expect(plain.map((each) => isPlainWait(request(each)))).toEqual([true, true, true]);
    expect(isPlainWait(request({ conditions: [messageOfType("go")] }))).toBe(false);
  });

  test("leaves a field that this server does not know to those who look closely", () => {
    const plain = { conditions: [model("User")], timeout: durationFromMs(5) };
    const held = [
      (made: WaitForRequest) => made,
      (made: WaitForRequest) => made.conditions[0],
      (made: WaitForRequest) => made.conditions[0]?.condition.value,
      (made: WaitForRequest) => made.timeout,
    ];
    for (const message of held) {
      const made = request(plain);
      expect(isPlainWait(made)).toBe(true);
      Object.assign(message(made) ?? {}, {
        $unknown: [{ no: 99, wireType: 0, data: Uint8Array.of(1) }],
      });
      expect(isPlainWait(made)).toBe(false);
    }
  });

  // Whoever changes a rule has to change the quick check with it, and then this list.
  test("knows these rules", () => {
    const schemas = [WaitForRequestSchema, WaitConditionSchema, DependencyConditionSchema, AgentConditionSchema];
    expect(rulesOf(schemas)).toMatchInlineSnapshot(`
     [
       "WaitForRequest.coordination_id {"string":{"minLen":"1","maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"}}",
       "WaitForRequest.agent_id {"string":{"minLen":"1","maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"}}",
       "WaitForRequest.conditions {"repeated":{"minItems":"1","maxItems":"100"}}",
       "WaitForRequest.mode {"enum":{"definedOnly":true}}",
       "WaitForRequest.at_least {"uint32":{"lte":100}}",
       "WaitForRequest.timeout {"duration":{"lte":"3600s","gte":"0.001s"}}",
       "WaitForRequest.independent {}",
       "WaitCondition.dependency {}",
       "WaitCondition.agent {}",
       "WaitCondition.signal {}",
       "WaitCondition.condition {"required":true}",
       "DependencyCondition.dependency_type {"string":{"minLen":"1","maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"}}",
       "DependencyCondition.dependency_id {"string":{"minLen":"1","maxLen":"200","pattern":"^[^\\\\x00-\\\\x1f\\\\x7f]*$"}}",
       "DependencyCondition.expected_from {"repeated":{"maxItems":"100","unique":true,"items":{"string":{"minLen":"1","maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"}}}}",
       "AgentCondition.agent_id {"string":{"minLen":"1","maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"}}",
       "AgentCondition.milestone {"enum":{"definedOnly":true}}",
       "AgentCondition.min_quality_score {"double":{"lte":1,"gte":0}}",
     ]
    `);
  });
});
