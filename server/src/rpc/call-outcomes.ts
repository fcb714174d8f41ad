import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { MetricsCollector } from "../metrics/metrics-collector.js";
import { CoordinationError } from "../model/coordination-error.js";
import { connectErrorFrom } from "./error-details.js";
import { internalError } from "./internal-error.js";

/** Counts how the calls of methods end, and makes of what they throw what their clients are told. */
export class CallOutcomes {
  readonly #logger: Logger;
  readonly #metrics: MetricsCollector;

  constructor({ logger, metrics }: { readonly logger: Logger; readonly metrics: MetricsCollector }) {
    this.#logger = logger;
    this.#metrics = metrics;
  }

  /** A call was answered. */
  succeeded(method: string): void {
    this.#metrics.callEnded(method, "OK");
  }

  /** A call was left by its client, or its time is up: nothing has failed. */
  left(method: string, reason: unknown): void {
    this.#metrics.callEnded(method, nameOfCode(ConnectError.from(reason)));
  }

  /** A call failed. Returns the error of the contract; what was not foreseen is logged. */
  failed(method: string, error: unknown): ConnectError {
    const known = asConnectError(error);
    const failure = known ?? connectErrorFrom(internalError(error, method, this.#logger));
    if (error instanceof CoordinationError) this.#metrics.error(error.reason);
    else if (known === undefined) this.#metrics.error("INTERNAL");
    this.#metrics.callEnded(method, nameOfCode(failure));
    return failure;
  }
}

function nameOfCode({ code }: ConnectError): string {
  return Code[code] ?? "Unknown";
}

function asConnectError(error: unknown): ConnectError | undefined {
  if (error instanceof CoordinationError) return connectErrorFrom(error);
  return error instanceof ConnectError ? error : undefined;
}
