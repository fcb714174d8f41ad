/** The headers of a call's deadline, for the server only: a client that knows of it may give up before the answer is there. */
export function deadlineOf(timeoutMs: number): Record<string, string> {
  return { "grpc-timeout": `${timeoutMs}m`, "connect-timeout-ms": String(timeoutMs) };
}
