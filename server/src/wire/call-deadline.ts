import { Code, ConnectError } from "@connectrpc/connect";

/** Characters of a malformed deadline that its error shows. */
const maxShownCharacters = 50;
const millisecondsPerUnit: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
};

/**
 * Shortens the deadline in a call's headers to `maxCallTimeMs`. A longer one would overflow the timer of the protocol
 * library, which then fires at once. Malformed deadlines are left for the library to refuse.
 */
export function shortenDeadline(headers: Headers, maxCallTimeMs: number): void {
  const connect = headers.get("connect-timeout-ms");
  if (connect !== null && Number(connect) > maxCallTimeMs) headers.set("connect-timeout-ms", String(maxCallTimeMs));
  const grpc = headers.get("grpc-timeout");
  if (grpc !== null && Number(grpc.slice(0, -1)) * (millisecondsPerUnit[grpc.slice(-1)] ?? 0) > maxCallTimeMs) {
    headers.set("grpc-timeout", `${Math.floor(maxCallTimeMs / 1_000)}S`);
  }
}

/**
 * How long a gRPC call may take by its `grpc-timeout`, in milliseconds, at most `maxCallTimeMs`; undefined when it may take
 * forever. Throws INVALID_ARGUMENT when it is malformed.
 */
export function grpcTimeoutMs(header: string | undefined, maxCallTimeMs: number): number | undefined {
  if (header === undefined) return undefined;
  const [, amount, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  if (amount !== undefined) return Math.min(maxCallTimeMs, Number(amount) * (millisecondsPerUnit[unit] ?? 0));
  const message = `grpc-timeout is "${header.slice(0, maxShownCharacters)}", not up to 8 digits and a unit of HMSmun`;
  throw new ConnectError(message, Code.InvalidArgument);
}
