import { describe, expect, test } from "@jest/globals";
import {
  contractDocumentFromText,
  readContractDocument,
} from "../../../../client-sdk/examples/codegen-workflow/src/contract/contract-document.js";

const read = (value: unknown) => contractDocumentFromText(JSON.stringify(value), "shop/orders.schema.json");

describe("contractDocumentFromText", () => {
  test("names the document for its file", () => {
    expect(read({ type: "object" }).name).toBe("orders");
  });

  test.each([
    ["draft-06", "http://json-schema.org/draft-06/schema#"],
    ["draft-07", "http://json-schema.org/draft-07/schema"],
    ["2019-09", "https://json-schema.org/draft/2019-09/schema"],
    ["2020-12", "https://json-schema.org/draft/2020-12/schema#"],
  ])("reads dialect %s from %s", (dialect, uri) => {
    expect(read({ $schema: uri, type: "string" }).dialect).toBe(dialect);
  });

  test("takes draft-07 without $schema, and 2020-12 where $defs are used", () => {
    expect(read({ type: "object" }).dialect).toBe("draft-07");
    expect(read({ $ref: "#/$defs/a", $defs: { a: {} } }).dialect).toBe("2020-12");
  });

  test("refuses what is no JSON, with the file's name", () => {
    expect(() => contractDocumentFromText("{", "orders.json")).toThrow(/^contract orders\.json is not JSON: /);
  });

  test.each([
    ["a list", [], "its root is not an object"],
    ["a package.json", { name: "x", version: "1.0.0" }, "its root has none of $schema, $ref"],
    ["OpenAPI", { openapi: "3.1.0", paths: {} }, "is an OpenAPI document, not a JSON Schema"],
    ["a wrong type", { type: "strnig" }, "/type must be equal to one of the allowed values"],
    ["a wrong keyword", { properties: { a: { minLength: -1 } } }, "/properties/a/minLength must be >= 0"],
    ["draft-04", { $schema: "http://json-schema.org/draft-04/schema#", type: "object" }, "supported are draft-06"],
  ])("refuses %s and says why", (_what, value, reason) => {
    expect(() => read(value)).toThrow(expect.objectContaining({ name: "WorkflowInputError" }));
    expect(() => read(value)).toThrow(reason);
  });
});

describe("readContractDocument", () => {
  test("names the file that it cannot read", async () => {
    await expect(readContractDocument("no/such.json")).rejects.toThrow(/^cannot read contract no\/such\.json: ENOENT/);
  });
});
