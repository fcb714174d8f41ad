import { create } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import { SignalFilterSchema } from "@coordination-signals/proto/coordination/v1/signal";
import {
  type GetSignalHistoryRequest,
  GetSignalHistoryRequestSchema,
  HistoryOrder,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { isPlainHistory } from "../../../../server/src/rpc/plain-history.js";
import { present, rulesOf, text } from "../../../support/contract-rules.js";

const validator = createValidator();

const request = (parts: object): GetSignalHistoryRequest =>
  create(GetSignalHistoryRequestSchema, { coordinationId: "c", ...parts });

const parts = fc
  .record(
    {
      coordinationId: text,
      filter: fc.constantFrom(undefined, undefined, {}, { expression: "1" }),
      pageSize: fc.constantFrom(-1, 0, 1, 999, 1_000, 1_001),
      pageToken: text,
      order: fc.constantFrom(-1, 0, 1, 2, 3),
    },
    { requiredKeys: [] },
  )
  .map(present);

describe("isPlainHistory", () => {
  test("says so of nothing that the contract's rules refuse", () => {
    let plain = 0;
    fc.assert(
      fc.property(parts, (random) => {
        const made = request(random);
        if (!isPlainHistory(made)) return;
        plain += 1;
        expect(validator.validate(GetSignalHistoryRequestSchema, made)).toMatchObject({ kind: "valid" });
      }),
      { numRuns: 3_000 },
    );
    // A check that says no to everything would pass.
    expect(plain).toBeGreaterThan(100);
  });

  test("says so of requests for all signals", () => {
    const plain = [{}, { pageSize: 1_000, order: HistoryOrder.OLDEST_FIRST }, { pageToken: "t".repeat(1_024) }];
    expect(plain.map((each) => isPlainHistory(request(each)))).toEqual([true, true, true]);
    expect(isPlainHistory(request({ filter: { senderAgentIds: ["a"] } }))).toBe(false);
  });

  test("leaves a field that this server does not know to those who look closely", () => {
    const held = [(made: GetSignalHistoryRequest) => made, (made: GetSignalHistoryRequest) => made.filter];
    for (const message of held) {
      const made = request({ filter: {} });
      expect(isPlainHistory(made)).toBe(true);
      Object.assign(message(made) ?? {}, {
        $unknown: [{ no: 99, wireType: 0, data: Uint8Array.of(1) }],
      });
      expect(isPlainHistory(made)).toBe(false);
    }
  });

  // Whoever changes a rule has to change the quick check with it, and then this list.
  test("knows these rules", () => {
    expect(rulesOf([GetSignalHistoryRequestSchema, SignalFilterSchema])).toMatchInlineSnapshot(`
     [
       "GetSignalHistoryRequest.coordination_id {"string":{"minLen":"1","maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"}}",
       "GetSignalHistoryRequest.filter {}",
       "GetSignalHistoryRequest.page_size {"int32":{"lte":1000,"gte":0}}",
       "GetSignalHistoryRequest.page_token {"string":{"maxLen":"1024"}}",
       "GetSignalHistoryRequest.order {"enum":{"definedOnly":true}}",
       "SignalFilter.signal_types {"repeated":{"maxItems":"16","items":{"enum":{"definedOnly":true,"notIn":[0]}}}}",
       "SignalFilter.sender_agent_ids {"repeated":{"maxItems":"100","items":{"string":{"minLen":"1","maxLen":"200","pattern":"^[A-Za-z0-9*?][A-Za-z0-9._:/*?-]*$"}}}}",
       "SignalFilter.min_priority {"enum":{"definedOnly":true}}",
       "SignalFilter.metadata {"map":{"maxPairs":"32","keys":{"string":{"minLen":"1","maxLen":"200"}},"values":{"string":{"maxLen":"4096"}}}}",
       "SignalFilter.after_time {}",
       "SignalFilter.before_time {}",
       "SignalFilter.expression {"string":{"maxLen":"1000"}}",
     ]
    `);
  });
});
