import { toBinary } from "@bufbuild/protobuf";
import { SubscribeResponseSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { batchFrame } from "../../../../server/src/rpc/batch-frame.js";
import { subscribeResponse } from "../../../../server/src/rpc/encoded-response.js";
import { grpcFrame } from "../../../../server/src/rpc/grpc-frame.js";
import { entryAt } from "../../../support/log-entries.js";

const longMessage = { event: { case: "interAgentMessage" as const, value: { message: "x".repeat(40_000) } } };

describe("batchFrame", () => {
  test.each([
    ["one short signal", [entryAt(3n)], 0n, 127n, "x".repeat(44)],
    ["signals of several lengths", [entryAt(3n), entryAt(200n, longMessage), entryAt(2n ** 40n)], 128n, 2n ** 40n, "x"],
    ["greatest sequences", [entryAt(7n)], 2n ** 63n, 2n ** 64n - 1n, ""],
    ["sequences around the greatest safe integer", [entryAt(7n)], 2n ** 53n - 1n, 2n ** 53n, "x".repeat(200)],
  ])("is the frame of the batch's message, of %s", (_, entries, afterSequence, throughSequence, cursor) => {
    const batch = { kind: "batch", entries, afterSequence, throughSequence, cursor } as const;
    const message = toBinary(SubscribeResponseSchema, subscribeResponse(batch, true));
    expect(batchFrame(batch)).toEqual(grpcFrame(message));
  });
});
