import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createValidator } from "@bufbuild/protovalidate";
import {
  type SendSignalRequest,
  SendSignalRequestSchema,
  type SendSignalResponse,
  SendSignalResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { uuidv7 } from "uuidv7";

/** Answers SendSignal as a server must at the least: with the contract's validation, a name, a position and a time. */
export function createSendAnswerer(): (request: SendSignalRequest) => SendSignalResponse {
  const validator = createValidator();
  const epoch = randomUUID();
  let sequence = 0n;
  return (request) => {
    const { kind } = validator.validate(SendSignalRequestSchema, request);
    if (kind !== "valid") throw new Error(`request is ${kind}`);
    sequence += 1n;
    return create(SendSignalResponseSchema, {
      signalId: uuidv7(),
      sequence,
      timestamp: timestampFromMs(Date.now()),
      epoch,
    });
  };
}
