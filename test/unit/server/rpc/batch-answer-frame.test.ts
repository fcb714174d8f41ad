import { create, toBinary } from "@bufbuild/protobuf";
import { StreamSignalsResponseSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../../../server/src/model/coordination-error.js";
import { batchAnswerFrame } from "../../../../server/src/rpc/batch-answer-frame.js";
import { batchResponse, type SendOutcome } from "../../../../server/src/rpc/batch-response.js";
import { grpcFrame } from "../../../../server/src/rpc/grpc-frame.js";

const refused: SendOutcome = { error: new CoordinationError("AGENT_NOT_FOUND", "no such agent") };

describe("batchAnswerFrame", () => {
  test.each([0, 1, 3, 400])("is the frame of the answer's message, of %p results", (count) => {
    const outcomes = Array.from({ length: count }, () => refused);
    const message = create(StreamSignalsResponseSchema, { batch: batchResponse(outcomes, true) });
    expect(batchAnswerFrame(outcomes)).toEqual(grpcFrame(toBinary(StreamSignalsResponseSchema, message)));
  });
});
