import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import { InternalError } from "../errors/coordination-client-error.js";
import { isOfTypes, type SignalEventCase, type TypedSignal } from "./typed-signal.js";

/** Answers the signal as one of the types that were asked for. Throws InternalError when the server sent another one. */
export function assertOfTypes<Case extends SignalEventCase>(
  signal: CoordinationSignal,
  types: readonly Case[] | undefined,
): TypedSignal<Case> {
  if (isOfTypes(signal, types)) return signal;
  const message = `the server sent a signal of type ${signal.event.case ?? "unknown"}, which was not asked for`;
  throw new InternalError({ message, reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
}
