import path from "node:path";
import { describe, expect, test } from "@jest/globals";
import { workflowInput } from "../../../client-sdk/examples/codegen-workflow/src/default-input.js";

describe("workflowInput", () => {
  test("takes the webhooks of GitHub and their payloads by default", () => {
    const { contract, payloads } = workflowInput({});
    expect(contract).toMatch(/webhooks-schemas.schema\.json$/);
    expect(payloads).toMatch(/webhooks-examples.api\.github\.com.index\.json$/);
  });

  test("holds the payloads that are named against the default contract", () => {
    expect(workflowInput({ payloads: "mine" })).toEqual({ ...workflowInput({}), payloads: path.resolve("mine") });
  });

  test("takes no payloads of others for a contract that is named", () => {
    expect(workflowInput({ contract: "shop.json" })).toEqual({
      contract: path.resolve("shop.json"),
      payloads: undefined,
    });
  });
});
