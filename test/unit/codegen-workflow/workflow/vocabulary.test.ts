import { describe, expect, test } from "@jest/globals";
import {
  variantDependencyId,
  variantOfDependency,
} from "../../../../client-sdk/examples/codegen-workflow/src/workflow/vocabulary.js";

describe("variantDependencyId", () => {
  test("tells the validator of a variant from that of an event type", () => {
    const dependencyId = variantDependencyId("star", "#/definitions/star$created");
    expect(variantOfDependency(dependencyId)).toBe("star$created");
    expect(variantOfDependency("star")).toBeUndefined();
  });
});
