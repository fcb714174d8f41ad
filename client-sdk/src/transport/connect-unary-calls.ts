import type { Transport } from "@connectrpc/connect";
import { promisedAttempt, type UnaryCalls } from "./unary-calls.js";

/** Makes unary calls through a transport of the library's kind, where everybody on their way sees their messages. */
export function connectUnaryCalls(transport: Transport): UnaryCalls {
  return {
    begin: ({ method, input, timeoutMs }, events) =>
      promisedAttempt(async (signal) => {
        const { message } = await transport.unary(method, signal, timeoutMs, undefined, input);
        return message;
      }, events),
  };
}
