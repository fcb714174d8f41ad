import type { CoordinationObserver, CoordinationSignal, TypedSignal } from "@coordination-signals/client";
import { describe, expect, test } from "@jest/globals";
import {
  contractData,
  contractFrom,
  generatedFrom,
  rejectedPayloadsFrom,
  requestFrom,
  requestPayload,
  responseFrom,
  responsePayload,
} from "../../../../client-sdk/examples/codegen-workflow/src/workflow/resolution.js";
import {
  dataOf,
  type ResolvedSource,
  readContracts,
  readResolved,
} from "../../../../client-sdk/examples/codegen-workflow/src/workflow/resolved.js";
import { SignalSource, starContract } from "./signal-fixtures.js";

type Resolved = TypedSignal<"dependencyResolved">;

/** A history that holds nothing but these. */
function sourceOf(...signals: readonly CoordinationSignal[]): ResolvedSource {
  async function* history() {
    yield* signals as readonly Resolved[];
  }
  return { session: { history: history as unknown as CoordinationObserver["history"] }, signal: AbortSignal.abort() };
}

describe("readContracts", () => {
  test("takes the last of two contracts of one event type, in the place of the first", async () => {
    const source = new SignalSource();
    const changed = { ...starContract, sha256: "f00d" };
    const push = { ...starContract, eventType: "push", payloadCount: 0, payloads: undefined };
    const signals = [source.contract(), source.contract(push), source.contract(changed)];
    expect(await readContracts(sourceOf(...signals))).toEqual([changed, push]);
  });
});

describe("readResolved", () => {
  test("finds what was resolved by its id", async () => {
    const signal = new SignalSource().generated("model-generator", "model", "star");
    const models = await readResolved(sourceOf(signal), "model", generatedFrom);
    expect([...models]).toEqual([["star", { path: "models/x", sha256: "abc", contractSha256: "c0ffee" }]]);
  });
});

describe("dataOf", () => {
  const resolvedBy = (data: ReturnType<typeof contractData>) =>
    new SignalSource().dependency("somebody", "contract", "star", data) as Resolved;

  test("reads what the parser says of a contract", () => {
    expect(dataOf(resolvedBy(contractData(starContract)), contractFrom)).toEqual(starContract);
  });

  test("refuses data that it cannot understand, and says whose", () => {
    expect(() => dataOf(resolvedBy({ file_path: 7, payload_count: 0 }), contractFrom)).toThrow(
      "signal 1 of somebody cannot be understood: file_path is 7, not a text",
    );
    const uncounted = resolvedBy({ file_path: "x", sha256: "y", count: -1 });
    expect(() => dataOf(uncounted, rejectedPayloadsFrom)).toThrow("count is -1, not a count");
  });
});

describe("payloads of requests and responses", () => {
  test("say the same to those who read them", () => {
    for (const variantPointer of ["#/definitions/star$created", undefined]) {
      const request = { eventType: "star", variantPointer };
      expect(requestFrom(requestPayload(request))).toEqual(request);
    }
    const validator = { path: "validators/variants/star.0.mjs", sha256: "abc", contractSha256: "c0ffee" };
    expect(responseFrom(responsePayload({ validator }))).toEqual({ validator });
    expect(responseFrom(responsePayload({ error: "no" }))).toEqual({ error: "no" });
  });
});
