import { Code, type ConnectError } from "@connectrpc/connect";

/*
 * Transports report a broken connection in many ways: Node's error codes under several causes, HTTP/2 resets, a stream
 * that ends without its status, or a TypeError of fetch. Connect gives them codes such as INTERNAL, ABORTED or CANCELLED
 * that mean something else when the server says them; the server's own errors always carry an ErrorInfo, these never do.
 */

/** The causes one error can be wrapped in; real chains have at most three. */
const maxCauses = 8;

const lostSocketCodes: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "ENOENT",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_PREMATURE_CLOSE",
  "ERR_HTTP2_GOAWAY_SESSION",
  "ERR_HTTP2_INVALID_SESSION",
  "ERR_HTTP2_INVALID_STREAM",
  "ERR_HTTP2_PING_CANCEL",
  "ERR_HTTP2_SESSION_ERROR",
  "ERR_HTTP2_STREAM_CANCEL",
  "UND_ERR_SOCKET",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** How a response that stopped in the middle shows; Connect's transports for Node.js put "protocol error: " before it. */
const truncatedResponses = [
  "missing status",
  "missing trailer",
  "missing EndStreamResponse",
  "missing output message",
  "missing message",
  "incomplete envelope",
  "promised ",
];

/** What fetch says in the browsers and in Node when the network fails. */
const failedFetches = [
  "failed to fetch",
  "fetch failed",
  "load failed",
  "network error",
  "networkerror",
  "the network connection was lost",
  "error in input stream",
  "terminated",
];

/**
 * Whether an error without ErrorInfo means that the connection broke or could not be made. Repeating is then safe for
 * whatever is idempotent.
 */
export function isConnectionLoss(error: ConnectError): boolean {
  if (error.code === Code.Unavailable) return true;
  // Nobody on this side has cancelled (the caller checks that first), so the other side has reset the stream.
  if (error.code === Code.Canceled) return true;
  // A whole answer that lacks something: UNIMPLEMENTED by the specification of gRPC.
  if (error.code === Code.Unimplemented) return false;
  if (isTruncatedResponse(error.rawMessage)) return true;
  if (isHttp2Reset(error.rawMessage)) return true;
  return causesOf(error).some((cause) => isLostSocket(cause) || isFailedFetch(cause));
}

function isTruncatedResponse(message: string): boolean {
  const what = message.replace("protocol error: ", "");
  return truncatedResponses.some((start) => what.startsWith(start));
}

// Node reports a refused stream as a plain stream error, which Connect turns into INTERNAL.
function isHttp2Reset(message: string): boolean {
  const text = message.toLowerCase();
  if (!text.includes("closed with error code")) return false;
  return ["refused_stream", "cancel", "enhance_your_calm", "nghttp2_no_error"].some((code) => text.includes(code));
}

function isLostSocket(cause: object): boolean {
  if (!("code" in cause) || typeof cause.code !== "string") return false;
  if (cause.code === "ERR_HTTP2_STREAM_ERROR") return isHttp2Reset(messageOf(cause));
  return lostSocketCodes.has(cause.code);
}

function isFailedFetch(cause: object): boolean {
  if (!("name" in cause) || cause.name !== "TypeError") return false;
  const message = messageOf(cause).toLowerCase();
  return failedFetches.some((start) => message.startsWith(start));
}

function messageOf(cause: object): string {
  return "message" in cause && typeof cause.message === "string" ? cause.message : "";
}

function causesOf(error: ConnectError): readonly object[] {
  const causes: object[] = [];
  let next: unknown = error.cause;
  while (typeof next === "object" && next !== null && causes.length < maxCauses) {
    causes.push(next);
    next = "cause" in next ? next.cause : undefined;
  }
  return causes;
}
