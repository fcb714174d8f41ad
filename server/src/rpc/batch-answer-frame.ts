import { WireType } from "@bufbuild/protobuf/wire";
import { StreamSignalsResponseSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { smallVarintBytes, writeSmallVarint } from "../model/varint.js";
import { encodedResults, type SendOutcome } from "./batch-response.js";
import { grpcFrameHeaderBytes } from "./grpc-frame.js";

const batchTag = (StreamSignalsResponseSchema.field.batch.number << 3) | WireType.LengthDelimited;

/** The answer to a batch of a stream as it travels over gRPC. */
export function batchAnswerFrame(outcomes: readonly SendOutcome[]): Uint8Array {
  const results = encodedResults(outcomes);
  const messageLength = 1 + smallVarintBytes(results.length) + results.length;
  const frame = Buffer.allocUnsafe(grpcFrameHeaderBytes + messageLength);
  frame[0] = 0;
  let at = frame.writeUInt32BE(messageLength, 1);
  frame[at++] = batchTag;
  at = writeSmallVarint(frame, at, results.length);
  frame.set(results, at);
  return frame;
}
