import { Code } from "@connectrpc/connect";
import { WireRefusal } from "./wire-refusal.js";

/** Why a call ends before it is answered when its client is gone: by itself, or because it accepted nothing for so long. */
export function clientIsGone(stalledMs: number | undefined): WireRefusal {
  if (stalledMs === undefined) {
    return new WireRefusal({ reason: "CANCELLED", code: Code.Canceled, message: "client has left" });
  }
  return new WireRefusal({
    reason: "SUBSCRIBER_TOO_SLOW",
    code: Code.ResourceExhausted,
    message: `client has accepted nothing for ${stalledMs} ms`,
    metadata: { stalled_ms: String(stalledMs) },
  });
}

/** Why a request fails that the client did not send to its end. */
export function requestCutOff(): WireRefusal {
  return new WireRefusal({ reason: "CANCELLED", code: Code.Canceled, message: "request was cut off by the client" });
}

/** Why a request fails that takes too long to arrive. */
export function requestTimeout(limitMs: number): WireRefusal {
  return new WireRefusal({
    reason: "REQUEST_TIMEOUT",
    code: Code.DeadlineExceeded,
    message: `request has not arrived in full within ${limitMs} ms`,
    metadata: { limit_ms: String(limitMs) },
  });
}
