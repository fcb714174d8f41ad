/** Bytes before each message of gRPC: one of flags, four of the message's length. */
export const frameHeaderBytes = 5;

/** A message as it travels over gRPC: not compressed, behind its header. */
export function grpcFrame(message: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(frameHeaderBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, frameHeaderBytes);
  return frame;
}
