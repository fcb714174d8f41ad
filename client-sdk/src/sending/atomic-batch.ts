import { InvalidRequestError } from "../errors/coordination-client-error.js";
import { invalidOption } from "../errors/invalid-option.js";
import { type EncodedSend, encodeSend } from "./encode-send.js";
import type { OutgoingSignal, Sender } from "./outgoing-signal.js";
import { batchItemOverheadBytes, maxBatchBytes, maxBatchSignals } from "./send-limits.js";

/** Turns signals into one atomic batch. Throws InvalidRequestError when it is empty or too large: it cannot be split. */
export function encodeAtomicBatch(sender: Sender, signals: readonly OutgoingSignal[]): readonly EncodedSend[] {
  if (signals.length < 1 || signals.length > maxBatchSignals) {
    throw invalidOption(`atomic batch has ${signals.length} signals, it must have 1 to ${maxBatchSignals}`);
  }
  const sends = signals.map((signal) => encodeSend(sender, signal));
  const bytes = sends.reduce((sum, send) => sum + send.encoded.length + batchItemOverheadBytes, 0);
  if (bytes > maxBatchBytes) {
    throw new InvalidRequestError({
      message: `atomic batch is ${bytes} bytes, limit is ${maxBatchBytes}`,
      reason: "SIGNAL_TOO_LARGE",
      code: "INVALID_ARGUMENT",
    });
  }
  return sends;
}
