import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { ViolationsSchema } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { RegisterAgentRequestSchema } from "@coordination-signals/proto/coordination/v1/agent_registry_service";
import {
  BatchSendSignalsRequestSchema,
  GetSignalHistoryRequestSchema,
  SendSignalRequestSchema,
  SubscribeRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../../../server/src/model/coordination-error.js";
import { connectErrorFrom } from "../../../../server/src/rpc/error-details.js";
import { RequestValidator } from "../../../../server/src/rpc/validate-request.js";
import { messageRequest } from "../../../support/log-entries.js";

const validator = new RequestValidator();

function refusalOf<Desc extends DescMessage>(
  schema: Desc,
  parts: MessageInitShape<Desc>,
): CoordinationError | undefined {
  try {
    validator.validate(schema, create(schema, parts));
    return undefined;
  } catch (error) {
    if (error instanceof CoordinationError) return error;
    throw error;
  }
}

const send = (parts: object) => refusalOf(SendSignalRequestSchema, { ...messageRequest(), ...parts });

describe("RequestValidator", () => {
  test("accepts what the contract allows", () => {
    expect(send({})).toBeUndefined();
    expect(
      send({ coordinationId: "A".repeat(200), senderAgentId: "9.:/_-", requestId: " ~".repeat(64) }),
    ).toBeUndefined();
  });

  test.each<[string, object]>([
    ["coordination_id", { coordinationId: "" }],
    ["coordination_id", { coordinationId: "a".repeat(201) }],
    ["coordination_id", { coordinationId: "__proto__" }],
    ["sender_agent_id", { senderAgentId: "a b" }],
    ["sender_agent_id", { senderAgentId: "-a" }],
    ["sender_agent_id", { senderAgentId: "a\n" }],
    ["recipient_agent_ids[1]", { recipientAgentIds: ["a", "ü"] }],
    ["recipient_agent_ids", { recipientAgentIds: ["a", "a"] }],
    ["priority", { priority: 9 }],
    ["correlation_id", { correlationId: "x".repeat(201) }],
    ["request_id", { requestId: "ü" }],
    ["request_id", { requestId: "x".repeat(129) }],
    ["expected_sequence", { expectedSequence: 2n ** 63n }],
    ["event", { event: { case: undefined } }],
    [
      "agent_completed.quality_score",
      messageRequest({ event: { case: "agentCompleted", value: { qualityScore: 1.5 } } }),
    ],
  ])("refuses a bad %s as INVALID_REQUEST, and names it", (field, parts) => {
    const refusal = send(parts);
    expect(refusal).toMatchObject({ reason: "INVALID_REQUEST", metadata: { field } });
    expect(refusal?.message).toMatch(field === "event" ? /event|exactly one/ : field.replace(/\[.*/, ""));
  });

  test("says by its reason which part of a request is at fault", () => {
    const subscribe = (parts: MessageInitShape<typeof SubscribeRequestSchema>) =>
      refusalOf(SubscribeRequestSchema, { coordinationId: "c", ...parts } as typeof parts)?.reason;
    expect(subscribe({ filter: { signalTypes: [0] } })).toBe("INVALID_FILTER");
    expect(subscribe({ filter: { expression: "x".repeat(1_001) } })).toBe("INVALID_FILTER");
    expect(subscribe({ start: { case: "cursor", value: "" } })).toBe("INVALID_CURSOR");
    expect(subscribe({ agentId: "ü" })).toBe("INVALID_REQUEST");
    const history = (parts: object) =>
      refusalOf(GetSignalHistoryRequestSchema, { coordinationId: "c", ...parts })?.reason;
    expect(history({ pageToken: "x".repeat(1_025) })).toBe("INVALID_PAGE_TOKEN");
    expect(history({ pageSize: 1_001 })).toBe("INVALID_REQUEST");
  });

  test("names at most 16 violations, and tells them in at most 1,024 characters", () => {
    const refusal = refusalOf(RegisterAgentRequestSchema, {
      coordinationId: "c",
      agentId: "a",
      capabilities: Array.from({ length: 120 }, () => ""),
    });
    if (refusal === undefined) throw new Error("the request was accepted");
    expect(refusal.message.length).toBeLessThanOrEqual(1_024);
    const [detail] = connectErrorFrom(refusal).findDetails(ViolationsSchema);
    expect(detail?.violations).toHaveLength(16);
    expect(detail?.violations[0]?.rule).toBeUndefined();
  });

  test("does not look into a batch, whose requests are checked one by one", () => {
    const batch = { requests: [create(SendSignalRequestSchema), messageRequest()] };
    expect(refusalOf(BatchSendSignalsRequestSchema, batch)).toBeUndefined();
    expect(refusalOf(BatchSendSignalsRequestSchema, {})?.metadata).toMatchObject({ field: "requests" });
  });

  test("refuses fields that it does not know, wherever they stand", () => {
    const unknown = [{ no: 99, wireType: 0, data: new Uint8Array([1]) }];
    const request = messageRequest();
    request.$unknown = unknown;
    expect(() => validator.validate(SendSignalRequestSchema, request)).toThrow(
      expect.objectContaining({ reason: "INVALID_REQUEST", metadata: { field_number: "99", field: "" } }),
    );
    const subscribe = create(SubscribeRequestSchema, { coordinationId: "c", filter: {} });
    if (subscribe.filter !== undefined) subscribe.filter.$unknown = unknown;
    expect(() => validator.validate(SubscribeRequestSchema, subscribe)).toThrow(
      expect.objectContaining({ reason: "INVALID_FILTER", metadata: { field_number: "99", field: "filter" } }),
    );
  });
});
