import type { IncomingHttpHeaders } from "node:http";
import type { UniversalServerRequest } from "@connectrpc/connect/protocol";
import { shortenDeadline } from "./call-deadline.js";
import type { OpenCall } from "./open-call.js";
import type { RequestBody } from "./request-body.js";

/** Request headers by which a client offers to take compressed answers, in the three protocols. */
const acceptEncodingHeaders = ["accept-encoding", "connect-accept-encoding", "grpc-accept-encoding"];

/** The request of a call in the form in which the protocol library takes it. Its path has to be that of an RPC. */
export function universalRequest(call: OpenCall, body: RequestBody, maxCallTimeMs: number): UniversalServerRequest {
  const { request, signal } = call;
  const header = webHeaders(request.headers);
  for (const name of acceptEncodingHeaders) header.set(name, "identity");
  // The library would allocate what this claims; the body knows its own length.
  header.delete("content-length");
  shortenDeadline(header, maxCallTimeMs);
  return {
    httpVersion: request.httpVersion,
    method: request.method ?? "",
    // Only path and query are of use; a host that the client made up must not make this fail.
    url: `http://localhost${request.url}`,
    header,
    body,
    signal,
  };
}

/** The headers of a request as services take them. */
export function webHeaders(headers: IncomingHttpHeaders): Headers {
  const web = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name.startsWith(":")) continue;
    if (typeof value === "string") web.append(name, value);
    else for (const single of value) web.append(name, single);
  }
  return web;
}
