import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { StreamSignalsResponseSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { BatchChannel, BatchChannelEvents } from "../../sending/batch-channel.js";
import { type BatchAnswer, batchAnswerFrom } from "../../sending/batch-results.js";
import { BatchAnswerDecoder } from "../batch-answer-decoder.js";
import { GrpcStream, type GrpcStreamTarget } from "./grpc-stream.js";
import { streamRequestFrame } from "./stream-request-frame.js";

/** Opens a channel that writes batches and reads their answers as bytes. */
export function openGrpcBatchChannel(target: GrpcStreamTarget, { onAnswer, onEnd }: BatchChannelEvents): BatchChannel {
  const decoder = new BatchAnswerDecoder();
  const cancel = (thrown: unknown) => {
    stream.cancel();
    onEnd(thrown);
  };
  const stream: GrpcStream = new GrpcStream(target, {
    onMessage: (message) => {
      let answer: BatchAnswer;
      try {
        answer = answerFrom(message, decoder);
      } catch (error) {
        cancel(ConnectError.from(error, Code.InvalidArgument));
        return;
      }
      onAnswer(answer);
    },
    onEnd,
  });
  return {
    send: (batch) => stream.write(streamRequestFrame(batch)),
    finish: () => stream.finish(),
    cancel,
  };
}

function answerFrom(message: Uint8Array, decoder: BatchAnswerDecoder): BatchAnswer {
  return (
    decodedAnswer(message, decoder) ??
    batchAnswerFrom(fromBinary(StreamSignalsResponseSchema, message).batch?.results ?? [])
  );
}

function decodedAnswer(message: Uint8Array, decoder: BatchAnswerDecoder): BatchAnswer | undefined {
  try {
    return decoder.answer(message);
  } catch {
    // The library tells what is wrong with it, or that it is only unusual.
    return undefined;
  }
}
