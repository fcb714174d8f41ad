import type { Message } from "@bufbuild/protobuf";
import type { FrameMethod, RequestFrameMethod, RequestFrameStream } from "../../rpc/frame-method.js";
import type { GrpcCall } from "./grpc-call.js";
import { type MessageReading, messageInFrame } from "./request-messages.js";
import { singleMessage, whenArrived } from "./single-message.js";

/** Serves one call of a method that writes its frames itself, which sees to it that the call ends. */
export function serveFrames(call: GrpcCall, method: FrameMethod | RequestFrameMethod, reading: MessageReading): void {
  if ("open" in method) open(call, method, reading);
  else whenArrived(call, () => void begin(call, method, reading));
}

async function begin(call: GrpcCall, method: FrameMethod, reading: MessageReading): Promise<void> {
  try {
    const read = singleMessage(call.request, reading);
    call.feedFrom(method.begin(read instanceof Promise ? await read : read, call));
  } catch (error) {
    method.refuse(error, call);
  }
}

function open(call: GrpcCall, method: RequestFrameMethod, reading: MessageReading): void {
  const stream = method.open(call);
  call.feedFrom(stream);
  const reader = new RequestReader(call, stream, reading);
  call.watchRequest(() => reader.read());
  reader.read();
}

/** Hands a request's messages to a stream, as long as it takes them. */
class RequestReader {
  readonly #call: GrpcCall;
  readonly #stream: RequestFrameStream;
  readonly #reading: MessageReading;
  /** A message is being given, or has to be decompressed before it can be. */
  #isBusy = false;

  constructor(call: GrpcCall, stream: RequestFrameStream, reading: MessageReading) {
    this.#call = call;
    this.#stream = stream;
    this.#reading = reading;
  }

  /** Reads what is there. */
  read(): void {
    if (this.#isBusy) return;
    const { request } = this.#call;
    while (this.#stream.takesMessages) {
      const frame = request.takeFrame();
      if (frame === undefined) break;
      this.#isBusy = true;
      const isGiven = this.#give(frame);
      if (!isGiven) return;
      this.#isBusy = false;
    }
    if (request.waitingFrames > 0) return;
    if (request.failure !== undefined) this.#stream.refuse(request.failure);
    else if (request.isComplete) this.#stream.complete();
  }

  /** Gives one message to the stream; answers whether that was done at once. */
  #give(frame: Uint8Array): boolean {
    try {
      const message = messageInFrame(frame, this.#reading);
      if (!(message instanceof Promise)) {
        this.#stream.take(message);
        return true;
      }
      void this.#giveLater(message);
      return false;
    } catch (error) {
      this.#stream.refuse(error);
      return true;
    }
  }

  async #giveLater(message: Promise<Message>): Promise<void> {
    try {
      this.#stream.take(await message);
    } catch (error) {
      this.#stream.refuse(error);
    }
    this.#isBusy = false;
    this.read();
  }
}
