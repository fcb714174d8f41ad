import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { ViolationsSchema } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { Code, ConnectError } from "@connectrpc/connect";
import { StatusSchema } from "@coordination-signals/proto/google/rpc/status";
import { describe, expect, test } from "@jest/globals";
import * as errors from "../../../../client-sdk/src/errors/coordination-client-error.js";
import { errorFromConnect } from "../../../../client-sdk/src/errors/error-from-connect.js";
import { errorFromStatus } from "../../../../client-sdk/src/errors/error-from-status.js";
import { contractError, contractStatus } from "../support/contract-errors.js";

const classes = [
  [Code.InvalidArgument, "INVALID_ARGUMENT", errors.InvalidRequestError],
  [Code.NotFound, "NOT_FOUND", errors.NotFoundError],
  [Code.FailedPrecondition, "FAILED_PRECONDITION", errors.PreconditionError],
  [Code.Aborted, "ABORTED", errors.ConflictError],
  [Code.AlreadyExists, "ALREADY_EXISTS", errors.ConflictError],
  [Code.OutOfRange, "OUT_OF_RANGE", errors.OutOfRangeError],
  [Code.ResourceExhausted, "RESOURCE_EXHAUSTED", errors.OverloadedError],
  [Code.Unavailable, "UNAVAILABLE", errors.UnavailableError],
  [Code.DeadlineExceeded, "DEADLINE_EXCEEDED", errors.TimeoutError],
  [Code.Canceled, "CANCELLED", errors.CancelledError],
  [Code.Unauthenticated, "UNAUTHENTICATED", errors.AccessDeniedError],
  [Code.PermissionDenied, "PERMISSION_DENIED", errors.AccessDeniedError],
  [Code.Unknown, "UNKNOWN", errors.InternalError],
  [Code.Unimplemented, "UNIMPLEMENTED", errors.InternalError],
  [Code.Internal, "INTERNAL", errors.InternalError],
  [Code.DataLoss, "DATA_LOSS", errors.InternalError],
] as const;

describe("errors by what the caller can do", () => {
  test.each(classes)("code %i, %s, of a call and of one item of a batch", (code, name, errorClass) => {
    const contract = { code, reason: "SOME_REASON", message: "what happened", metadata: { key: "value" } };
    for (const error of [
      errorFromConnect(contractError(contract)),
      errorFromStatus(create(StatusSchema, contractStatus(contract))),
    ]) {
      expect(error).toBeInstanceOf(errorClass);
      expect(error).toBeInstanceOf(errors.CoordinationClientError);
      expect(error).toMatchObject({
        code: name,
        reason: "SOME_REASON",
        message: "what happened",
        metadata: { key: "value" },
      });
      expect(error.name).toBe(errorClass.name);
      expect(error.retryable).toBe(name === "UNAVAILABLE");
    }
  });

  test.each([
    ["ACK_EXPIRED", errors.AckExpiredError],
    ["NOT_DELIVERED", errors.NotDeliveredError],
    ["SUBSCRIPTION_CONFLICT", errors.PreconditionError],
  ] as const)("%s of an acknowledgement or a named subscription", (reason, errorClass) => {
    const contract = { code: Code.FailedPrecondition, reason };
    for (const error of [
      errorFromConnect(contractError(contract)),
      errorFromStatus(create(StatusSchema, contractStatus(contract))),
    ]) {
      expect(error).toBeInstanceOf(errors.PreconditionError);
      expect(error).toMatchObject({ name: errorClass.name, reason, retryable: false });
    }
  });

  test("an exhausted server that names a time can be asked again", () => {
    const contract = { code: Code.ResourceExhausted, reason: "RATE_LIMITED", retryDelayMs: 1_500 };
    expect(errorFromConnect(contractError(contract))).toMatchObject({ retryable: true, retryDelayMs: 1_500 });
    expect(errorFromStatus(create(StatusSchema, contractStatus(contract)))).toMatchObject({
      retryable: true,
      retryDelayMs: 1_500,
    });
  });

  test("name the fields at fault", () => {
    const value = {
      violations: [
        {
          field: {
            elements: [
              { fieldName: "recipient_agent_ids", subscript: { case: "index" as const, value: 2n } },
              { fieldName: "inner" },
            ],
          },
          ruleId: "string.max_len",
          message: "at most 200",
        },
        {
          field: { elements: [{ fieldName: "metadata", subscript: { case: "stringKey" as const, value: 'a"b' } }] },
          ruleId: "map.keys",
          message: "bad key",
        },
        { ruleId: "message", message: "all of it" },
      ],
    };
    const thrown = new ConnectError("bad", Code.InvalidArgument, undefined, [{ desc: ViolationsSchema, value }]);
    const violations = [
      { field: "recipient_agent_ids[2].inner", rule: "string.max_len", message: "at most 200" },
      { field: 'metadata["a\\"b"]', rule: "map.keys", message: "bad key" },
      { field: "", rule: "message", message: "all of it" },
    ];
    const withReason = contractError({ code: Code.InvalidArgument, reason: "INVALID_REQUEST" });
    withReason.details.push(...thrown.details);
    expect(errorFromConnect(withReason)).toMatchObject({ violations });
    const status = create(StatusSchema, {
      code: 3,
      details: [anyPack(ViolationsSchema, create(ViolationsSchema, value))],
    });
    expect(errorFromStatus(status)).toMatchObject({ violations, reason: "UNKNOWN" });
  });

  test("leave out positions that are no numbers", () => {
    const metadata = { oldest_sequence: "many", head_sequence: "-1", resume_after_sequence: "18446744073709551615" };
    const error = errorFromConnect(contractError({ code: Code.OutOfRange, reason: "CURSOR_EXPIRED", metadata }));
    expect(error).toMatchObject({
      oldestSequence: undefined,
      headSequence: undefined,
      resumeAfterSequence: 2n ** 64n - 1n,
    });
  });

  test.each<[string, Record<string, string>, bigint | undefined]>([
    ["CURSOR_EXPIRED", { oldest_sequence: "5", head_sequence: "9" }, 4n],
    ["CURSOR_EXPIRED", { oldest_sequence: "5", resume_after_sequence: "7" }, 7n],
    ["CURSOR_AHEAD", { oldest_sequence: "5", head_sequence: "9" }, 9n],
    ["EPOCH_CHANGED", {}, undefined],
  ])("say where to go on: %s %j", (reason, metadata, expected) => {
    const error = errorFromConnect(contractError({ code: Code.OutOfRange, reason, metadata }));
    expect(error).toMatchObject({ resumeAfterSequence: expected });
  });

  test("survive details that cannot be read and codes that are none", () => {
    const status = create(StatusSchema, {
      code: 99,
      details: [{ typeUrl: "type.googleapis.com/google.rpc.ErrorInfo", value: new Uint8Array([255, 255]) }],
    });
    expect(errorFromStatus(status)).toMatchObject({ code: "UNKNOWN", reason: "UNKNOWN" });
  });

  test("of this package stay as they are", () => {
    const error = new errors.SequenceGapError(2n, 4n);
    expect(errorFromConnect(error)).toBe(error);
    expect(error).toMatchObject({ code: "DATA_LOSS", retryable: false, metadata: { expected_after_sequence: "2" } });
  });

  test("anything else is internal", () => {
    expect(errorFromConnect(new Error("a defect"))).toBeInstanceOf(errors.InternalError);
    expect(errorFromConnect("a text")).toMatchObject({ reason: "UNKNOWN", message: "a text" });
  });

  test("without a reason keep their code", () => {
    expect(errorFromConnect(new ConnectError("no such page", Code.Unimplemented))).toMatchObject({
      code: "UNIMPLEMENTED",
      reason: "UNKNOWN",
    });
    expect(errorFromConnect(new ConnectError("too slow", Code.DeadlineExceeded))).toMatchObject({
      reason: "CALL_TIMEOUT",
    });
  });
});
