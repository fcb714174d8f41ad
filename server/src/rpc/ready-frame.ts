import type { Message } from "@bufbuild/protobuf";

const frames = new WeakMap<Message, Uint8Array>();

/** Says that this frame of gRPC is the message encoded, so that nobody encodes it again. The message must not change then. */
export function setReadyFrame(message: Message, frame: Uint8Array): void {
  frames.set(message, frame);
}

/** The frame of a message that was encoded when it was made; `undefined` for others. */
export function readyFrame(message: Message): Uint8Array | undefined {
  return frames.get(message);
}
