import { readFile } from "node:fs/promises";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@coordination-signals/proto/google/rpc/error_details";
import { describe, expect, test } from "@jest/globals";
import { CoordinationError, type Reason } from "../../../../server/src/model/coordination-error.js";
import { connectErrorFrom, statusFrom } from "../../../../server/src/rpc/error-details.js";
import { codeByReason } from "../../../../server/src/rpc/error-table.js";

/** The reasons as the source declares them: a type leaves nothing behind that could be asked. */
async function declaredReasons(): Promise<readonly string[]> {
  const source = await readFile(new URL("../../../../server/src/model/coordination-error.ts", import.meta.url), "utf8");
  const [, declaration = ""] = source.split("export type Reason");
  return [...(declaration.split(";")[0] ?? "").matchAll(/"([A-Z_]+)"/g)].flatMap(([, reason]) => reason ?? []);
}

describe("codeByReason", () => {
  test("has a code for every reason, and none for what is no reason", async () => {
    const reasons = await declaredReasons();
    expect(reasons.length).toBeGreaterThan(20);
    expect(Object.keys(codeByReason).sort()).toEqual([...reasons].sort());
  });

  test("has the codes that the contract's table says", () => {
    const byCode = new Map<string, string[]>();
    for (const [reason, code] of Object.entries(codeByReason)) {
      byCode.set(Code[code] ?? "", [...(byCode.get(Code[code] ?? "") ?? []), reason].sort());
    }
    expect(Object.fromEntries(byCode)).toMatchObject({
      InvalidArgument: expect.arrayContaining([
        "INVALID_CURSOR",
        "INVALID_FILTER",
        "INVALID_PAGE_TOKEN",
        "INVALID_REQUEST",
        "REQUEST_ID_REUSED",
        "SIGNAL_TOO_LARGE",
      ]),
      NotFound: expect.arrayContaining(["AGENT_NOT_FOUND", "COORDINATION_NOT_FOUND"]),
      FailedPrecondition: expect.arrayContaining(["AGENT_NOT_REGISTERED", "DEPENDENCY_FAILED", "NO_RESPONDERS"]),
      Aborted: ["DEADLOCK", "SEQUENCE_CONFLICT"],
      DeadlineExceeded: ["REQUEST_TIMEOUT", "WAIT_TIMEOUT"],
      OutOfRange: ["CURSOR_AHEAD", "CURSOR_EXPIRED", "EPOCH_CHANGED", "ROLLED_BACK"],
      ResourceExhausted: expect.arrayContaining(["SEND_QUEUE_FULL", "SUBSCRIBER_TOO_SLOW", "TOO_MANY_COORDINATIONS"]),
      Unavailable: ["SHUTTING_DOWN", "STORE_UNAVAILABLE"],
      DataLoss: ["STORE_CORRUPT"],
      Internal: ["INTERNAL"],
    });
  });
});

describe("an error's details", () => {
  const error = new CoordinationError("STORE_UNAVAILABLE", "the store is away", {
    metadata: { a: "b" },
    retryDelayMs: 1_500,
    cause: new Error("secret path"),
  });

  test("name reason, domain, metadata and when to try again, in a call and in a batch alike", () => {
    const call = connectErrorFrom(error);
    expect(call).toMatchObject({ code: Code.Unavailable, rawMessage: "the store is away" });
    const info = { reason: "STORE_UNAVAILABLE", domain: "coordination.v1", metadata: { a: "b" } };
    expect(call.findDetails(ErrorInfoSchema)).toMatchObject([info]);
    expect(call.findDetails(RetryInfoSchema)).toMatchObject([{ retryDelay: { seconds: 1n, nanos: 500_000_000 } }]);
    const status = statusFrom(error);
    expect(status).toMatchObject({ code: 14, message: "the store is away" });
    const details = status.details.map((any) => anyUnpack(any, ErrorInfoSchema) ?? anyUnpack(any, RetryInfoSchema));
    expect(details).toMatchObject([info, { retryDelay: { seconds: 1n } }]);
  });

  test("say nothing of the cause, and of trying again only where it helps", () => {
    const refusal = new CoordinationError("INVALID_REQUEST", "no", { cause: new Error("secret path") });
    expect(connectErrorFrom(refusal).findDetails(RetryInfoSchema)).toEqual([]);
    expect(JSON.stringify(statusFrom(refusal))).not.toContain("secret");
  });

  test.each(Object.keys(codeByReason) as Reason[])("can be made of %s", (reason) => {
    const made = connectErrorFrom(new CoordinationError(reason, "x"));
    expect(made.findDetails(ErrorInfoSchema)).toMatchObject([{ reason }]);
  });
});
