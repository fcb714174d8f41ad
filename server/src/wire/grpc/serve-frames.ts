import type { FrameMethod } from "../../rpc/frame-method.js";
import type { GrpcCall } from "./grpc-call.js";
import type { MessageReading } from "./request-messages.js";
import { singleMessage, whenArrived } from "./single-message.js";

/** Serves one call of a method that writes its frames itself, which sees to it that the call ends. */
export function serveFrames(call: GrpcCall, method: FrameMethod, reading: MessageReading): void {
  whenArrived(call, () => void begin(call, method, reading));
}

async function begin(call: GrpcCall, method: FrameMethod, reading: MessageReading): Promise<void> {
  try {
    const read = singleMessage(call.request, reading);
    call.feedFrom(method.begin(read instanceof Promise ? await read : read, call));
  } catch (error) {
    method.refuse(error, call);
  }
}
