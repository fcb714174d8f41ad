import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@coordination-signals/proto/google/rpc/error_details";

/** Domain of the reasons in `google.rpc.ErrorInfo`. */
export const errorDomain = "coordination.v1";

/** Why the port itself refused or ended a call. */
export type WireReason =
  | "REQUEST_TOO_LARGE"
  | "REQUEST_TIMEOUT"
  | "RATE_LIMITED"
  | "INVALID_REQUEST"
  | "SUBSCRIBER_TOO_SLOW"
  | "CANCELLED";

/** What a refusal of the port says. */
export interface WireRefusalOptions {
  readonly reason: WireReason;
  readonly code: Code;
  /** Lower case: what, the offending value, the limit. */
  readonly message: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Set when the same call can succeed later; whole seconds. */
  readonly retryAfterSeconds?: number;
}

/** A refusal of the port. */
export class WireRefusal extends Error {
  readonly #options: WireRefusalOptions;

  constructor(options: WireRefusalOptions) {
    super(options.message);
    this.name = "WireRefusal";
    this.#options = options;
  }

  get reason(): WireReason {
    return this.#options.reason;
  }

  /** The refusal with the same details that services give: ErrorInfo, and RetryInfo when repeating can help. */
  toConnectError(): ConnectError {
    const { reason, code, message, metadata = {}, retryAfterSeconds } = this.#options;
    const error = new ConnectError(message, code);
    error.details.push({ desc: ErrorInfoSchema, value: { reason, domain: errorDomain, metadata: { ...metadata } } });
    if (retryAfterSeconds !== undefined) {
      error.details.push({ desc: RetryInfoSchema, value: { retryDelay: { seconds: BigInt(retryAfterSeconds) } } });
    }
    return error;
  }
}

/** Says that an answer is too large to be sent. */
export function responseTooLarge(bytes: number, limitBytes: number): string {
  return `response is ${bytes} bytes, limit is ${limitBytes}`;
}

/** The refusal of a request message that is larger than allowed. `bytes` is its size, or where reading it stopped. */
export function requestTooLarge(bytes: number, limitBytes: number): WireRefusal {
  return new WireRefusal({
    reason: "REQUEST_TOO_LARGE",
    code: Code.ResourceExhausted,
    message: `request is ${bytes} bytes, limit is ${limitBytes}`,
    metadata: { limit_bytes: String(limitBytes) },
  });
}
