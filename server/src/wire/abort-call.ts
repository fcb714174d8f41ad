import { http2Stream, pathOf } from "./http-exchange.js";
import type { OpenCall } from "./open-call.js";
import type { PortLogger } from "./port-logger.js";

/** Ends a call that could not be answered as its protocol would, and logs why; the client is told nothing of it. */
export function abortCall(call: OpenCall, error: unknown, logger: PortLogger): void {
  logger.error({ path: pathOf(call.request), err: error }, "failed to answer a call");
  const { response } = call;
  if (!response.headersSent) {
    response.writeHead(500, { "content-type": "application/json" });
    response.end('{"code":"internal","message":"internal error"}');
    return;
  }
  const stream = http2Stream(response);
  if (stream !== undefined) stream.destroy();
  else call.request.socket.destroy();
}
