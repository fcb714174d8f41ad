import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { describe, expect, test } from "@jest/globals";
import { contractDocumentFromText } from "../../../../client-sdk/examples/codegen-workflow/src/contract/contract-document.js";
import { splitContract } from "../../../../client-sdk/examples/codegen-workflow/src/contract/split-contract.js";

const split = (value: unknown) => splitContract(contractDocumentFromText(JSON.stringify(value), "orders.json"));
const user = { type: "object", properties: { manager: { $ref: "#/definitions/user" } } };
const draft07 = "http://json-schema.org/draft-07/schema#";

describe("splitContract", () => {
  test("makes a contract of each member of a root union, with only what it reaches", () => {
    const contracts = split({
      oneOf: [{ $ref: "#/definitions/hired_event" }, { $ref: "#/definitions/ping$event" }],
      definitions: {
        user,
        hired_event: { properties: { user: { $ref: "#/definitions/user" } } },
        ping$event: { type: "object" },
      },
    });
    expect(contracts.map(({ eventType }) => eventType)).toEqual(["hired", "ping"]);
    expect(contracts[0]).toEqual({
      eventType: "hired",
      pointer: "#/definitions/hired_event",
      typeName: "hired_event",
      schema: {
        $schema: draft07,
        $ref: "#/definitions/hired_event",
        definitions: { user, hired_event: { properties: { user: { $ref: "#/definitions/user" } } } },
      },
    });
    expect(Object.keys(contracts[1]?.schema["definitions"] ?? {})).toEqual(["ping$event"]);
  });

  test("keeps the names as they are unless all end in event", () => {
    const definitions = { hired_event: {}, ping: {} };
    expect(split({ definitions }).map(({ eventType }) => eventType)).toEqual(["hired_event", "ping"]);
  });

  test("makes a contract of each definition where the root says nothing itself", () => {
    const contracts = split({ title: "Shop", $defs: { "big order": { type: "object" }, "a/b~c": true } });
    expect(contracts.map(({ pointer }) => pointer)).toEqual(["#/$defs/big%20order", "#/$defs/a~1b~0c"]);
    expect(contracts[1]?.schema["$defs"]).toEqual({ "a/b~c": true });
    expect(contracts[1]?.schema["$schema"]).toBe("https://json-schema.org/draft/2020-12/schema");
  });

  test.each([
    ["its title", { title: "Order", type: "object" }, "Order"],
    ["the definition it refers to", { $ref: "#/definitions/user", definitions: { user } }, "user"],
    ["its file", { type: "object" }, "orders"],
  ])("makes one contract of a root that says something, named for %s", (_what, schema, eventType) => {
    expect(split(schema)).toEqual([
      { eventType, typeName: eventType, pointer: "#", schema: { ...schema, $schema: draft07 } },
    ]);
  });

  test.each([
    ["a member written in place", { oneOf: [{ $ref: "#/definitions/user" }, { type: "null" }] }],
    ["a member named twice", { oneOf: [{ $ref: "#/definitions/user" }, { $ref: "#/definitions/user" }] }],
    ["a second constraint", { oneOf: [{ $ref: "#/definitions/user" }], required: ["id"] }],
  ])("does not split a union with %s", (_what, root) => {
    expect(split({ ...root, definitions: { user } })).toHaveLength(1);
  });

  test("does not split a union that refers to itself as a whole", () => {
    const definitions = { leaf: {}, node: { properties: { child: { $ref: "#" } } } };
    expect(
      split({ oneOf: [{ $ref: "#/definitions/leaf" }, { $ref: "#/definitions/node" }], definitions }),
    ).toHaveLength(1);
  });

  test("takes a $ref among enumerated data for a word", () => {
    expect(split({ enum: [{ $ref: "elsewhere.json" }] })).toHaveLength(1);
  });

  test.each([
    ["another file", { properties: { a: { $ref: "user.json" } } }, 'refers to "user.json", which is outside the file'],
    [
      "nothing",
      { $ref: "#/definitions/usr", definitions: { user } },
      'refers to "#/definitions/usr", which it does not define',
    ],
    ["a prototype's word", { $ref: "#/definitions/constructor", definitions: { user } }, "which it does not define"],
  ])("refuses a reference to %s", (_what, schema, reason) => {
    expect(() => split(schema)).toThrow(reason);
  });

  test("refuses a contract without and with too many event types", () => {
    expect(() => split({ definitions: {} })).toThrow("contract orders defines no event type");
    const definitions = Object.fromEntries(Array.from({ length: 501 }, (_, index) => [`e${index}`, {}]));
    expect(() => split({ definitions })).toThrow("contract orders has 501 event types, limit is 500");
  });

  test("refuses an event type that no dependency can be named for", () => {
    expect(() => split({ definitions: { "a\nb": {} } })).toThrow('event type "a\\nb" must have 1 to 200 characters');
  });

  test("finds the 66 event types of the GitHub webhooks", async () => {
    const filePath = createRequire(import.meta.url).resolve("@octokit/webhooks-schemas/schema.json");
    const contracts = splitContract(contractDocumentFromText(await readFile(filePath, "utf8"), filePath));
    const eventTypes = contracts.map(({ eventType }) => eventType);
    expect(eventTypes).toHaveLength(66);
    expect(eventTypes).toEqual(expect.arrayContaining(["issues", "pull_request", "push", "workflow_run"]));
    const star = contracts.find(({ eventType }) => eventType === "star");
    expect(Object.keys(star?.schema["definitions"] ?? {})).toEqual([
      ...["star$created", "star$deleted", "star_event"],
      ...["installation-lite", "license", "organization", "repository", "user"],
    ]);
  });
});
