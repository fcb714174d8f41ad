/** Why an operation was refused; the words of the contract's error table. */
export type Reason =
  | "INVALID_REQUEST"
  | "INVALID_FILTER"
  | "INVALID_TRANSFORM"
  | "INVALID_CURSOR"
  | "INVALID_PAGE_TOKEN"
  | "SIGNAL_TOO_LARGE"
  | "REQUEST_ID_REUSED"
  | "COORDINATION_NOT_FOUND"
  | "AGENT_NOT_FOUND"
  | "SIGNAL_NOT_FOUND"
  | "SUBSCRIPTION_NOT_FOUND"
  | "SNAPSHOT_NOT_FOUND"
  | "COORDINATION_CLOSED"
  | "AGENT_NOT_REGISTERED"
  | "DEPENDENCY_FAILED"
  | "NO_RESPONDERS"
  | "ACK_EXPIRED"
  | "NOT_DELIVERED"
  | "NOT_ACKNOWLEDGED"
  | "SUBSCRIPTION_CONFLICT"
  | "SEQUENCE_CONFLICT"
  | "DEADLOCK"
  | "CURSOR_EXPIRED"
  | "CURSOR_AHEAD"
  | "EPOCH_CHANGED"
  | "ROLLED_BACK"
  | "TOO_MANY_SUBSCRIPTIONS"
  | "TOO_MANY_COORDINATIONS"
  | "TOO_MANY_AGENTS"
  | "TOO_MANY_REDRIVEN"
  | "TOO_MANY_ROLLBACKS"
  | "TOO_MANY_WAITS"
  | "SEND_QUEUE_FULL"
  | "SUBSCRIBER_TOO_SLOW"
  | "FILTER_BUDGET_EXCEEDED"
  | "WAIT_TIMEOUT"
  | "REQUEST_TIMEOUT"
  | "SHUTTING_DOWN"
  | "STORE_UNAVAILABLE"
  | "STORE_CORRUPT"
  | "INTERNAL";

/** What an error carries beside its reason and message. */
export interface CoordinationErrorDetails {
  /** Facts a program can act on, for example `{ head_sequence: "7" }`. Keys in lower snake case. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Set when repeating the same call later can succeed; the least time to wait, in milliseconds. */
  readonly retryDelayMs?: number;
  /** What led to it; logged, never sent to a client. */
  readonly cause?: unknown;
}

/** The one operational error of the server: every refusal has a reason, and `rpc/` maps each reason to a code. */
export class CoordinationError extends Error {
  readonly reason: Reason;
  readonly metadata: Readonly<Record<string, string>>;
  readonly retryDelayMs: number | undefined;

  constructor(reason: Reason, message: string, details: CoordinationErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "CoordinationError";
    this.reason = reason;
    this.metadata = details.metadata ?? {};
    this.retryDelayMs = details.retryDelayMs;
  }
}
