import type { Message } from "@bufbuild/protobuf";
import type { GrpcCall } from "./grpc-call.js";
import type { GrpcRequest } from "./grpc-request.js";
import { wrongCount } from "./invoke-method.js";
import { type MessageReading, messageInFrame } from "./request-messages.js";

/** Calls back once, when the request of a method that takes one message is there, or has failed. */
export function whenArrived(call: GrpcCall, then: () => void): void {
  const { request } = call;
  call.watchRequest(() => {
    if (request.isArriving && request.waitingFrames < 2) return;
    call.watchRequest(ignore);
    then();
  });
}

/** The one message of a request that has arrived. A promise only where it has to be decompressed. */
export function singleMessage(request: GrpcRequest, reading: MessageReading): Message | Promise<Message> {
  if (request.failure !== undefined) throw request.failure;
  const frame = request.takeFrame();
  if (frame === undefined) throw wrongCount("0");
  if (request.waitingFrames > 0) throw wrongCount("more than 1");
  return messageInFrame(frame, reading);
}

function ignore(): void {}
