import { cors } from "@connectrpc/connect";
import type { HttpRequest, HttpResponse } from "./http-exchange.js";

/** How long a browser may keep what it was told about this server, in seconds: the most that browsers keep. */
const maxAgeSeconds = 7_200;

/** The pages whose scripts may call this server: none, those of the listed origins, or any with `"*"`. */
export type AllowedOrigins = readonly string[];

/**
 * Tells a browser whether a script of another origin may call and read the answer (CORS). Returns true when the request
 * was a browser's question ahead of the call, which is then answered in full.
 */
export function allowCrossOrigin(request: HttpRequest, response: HttpResponse, allowed: AllowedOrigins): boolean {
  const { origin } = request.headers;
  if (allowed.length === 0 || origin === undefined) return false;
  response.setHeader("vary", "Origin");
  const isAllowed = allowed.includes("*") || allowed.includes(origin);
  if (isAllowed) {
    response.setHeader("access-control-allow-origin", allowed.includes("*") ? "*" : origin);
    response.setHeader("access-control-expose-headers", cors.exposedHeaders.join(", "));
  }
  const isPreflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
  if (!isPreflight) return false;
  if (isAllowed) {
    response.setHeader("access-control-allow-methods", cors.allowedMethods.join(", "));
    response.setHeader(
      "access-control-allow-headers",
      [...cors.allowedHeaders, "Traceparent", "Tracestate"].join(", "),
    );
    response.setHeader("access-control-max-age", String(maxAgeSeconds));
  }
  response.writeHead(204);
  response.end();
  return true;
}
