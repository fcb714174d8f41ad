/** The gRPC status code of an error, by its name in the gRPC specification. */
export type StatusCode =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** Reasons the server gives: the words of the contract's error table. */
export type ServerErrorReason =
  | "INVALID_REQUEST"
  | "INVALID_FILTER"
  | "INVALID_TRANSFORM"
  | "INVALID_CURSOR"
  | "INVALID_PAGE_TOKEN"
  | "SIGNAL_TOO_LARGE"
  | "REQUEST_ID_REUSED"
  | "COORDINATION_NOT_FOUND"
  | "SIGNAL_NOT_FOUND"
  | "AGENT_NOT_FOUND"
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
  | "TOO_MANY_DEPENDENCIES"
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

/** Reasons this client gives itself. */
export type ClientErrorReason =
  /** The connection broke, could not be made, or stayed silent for too long. */
  | "CONNECTION_LOST"
  /** The call took longer than its timeout; whether the server acted on it is not known. */
  | "CALL_TIMEOUT"
  /** The caller's `AbortSignal` was aborted. */
  | "CANCELLED"
  /** The session or the client was closed. */
  | "CLIENT_CLOSED"
  /** The ranges a subscription scanned do not join: signals are missing between them. */
  | "SEQUENCE_GAP"
  /** The server answered something the contract does not allow. */
  | "UNEXPECTED_RESPONSE"
  /** The error carries no reason: it does not come from a coordination server, but for example from a proxy. */
  | "UNKNOWN";

/** Why a call failed. A newer server may give reasons this version does not list. */
export type ErrorReason = ServerErrorReason | ClientErrorReason | (string & {});

/** What every error of this package is made of. */
export interface CoordinationClientErrorFields {
  /** What happened, for people to read. */
  readonly message: string;
  /** Why, for programs. */
  readonly reason: ErrorReason;
  readonly code: StatusCode;
  /** Facts a program can act on. Default: none. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** The least time to wait before repeating the call, in milliseconds. */
  readonly retryDelayMs?: number | undefined;
  /** Default: follows from the code and `retryDelayMs`. */
  readonly retryable?: boolean | undefined;
  /** What led to it. */
  readonly cause?: unknown;
}

/**
 * What every error of this package extends. The subclasses stand for what the caller can do about it; `reason` says
 * exactly what happened.
 */
export class CoordinationClientError extends Error {
  override readonly name: string = "CoordinationClientError";
  /** Why the call failed. */
  readonly reason: ErrorReason;
  /** The gRPC status code. */
  readonly code: StatusCode;
  /** Facts a program can act on, for example `{ head_sequence: "7" }`. Keys in lower snake case. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The least time to wait before repeating the call, in milliseconds, when the server named one. */
  readonly retryDelayMs: number | undefined;
  /**
   * Whether repeating the same call later can succeed. Calls that are safe to repeat were already repeated, as often as
   * the retry options allow.
   */
  readonly retryable: boolean;

  constructor(fields: CoordinationClientErrorFields) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.reason = fields.reason;
    this.code = fields.code;
    this.metadata = fields.metadata ?? {};
    this.retryDelayMs = fields.retryDelayMs;
    this.retryable = fields.retryable ?? isRetryable(fields.code, fields.retryDelayMs);
  }
}

/** One field of a request that breaks a rule of the contract. */
export interface FieldViolation {
  /** Path of the field, for example `recipient_agent_ids[2]`. */
  readonly field: string;
  /** The rule's name, for example `string.max_len`. */
  readonly rule: string;
  /** What the rule asks for. */
  readonly message: string;
}

/** The call is wrong as it stands: correct it. */
export class InvalidRequestError extends CoordinationClientError {
  override readonly name = "InvalidRequestError";
  /** The fields at fault, as far as the server names them; at most 16. */
  readonly violations: readonly FieldViolation[];

  constructor(fields: CoordinationClientErrorFields & { readonly violations?: readonly FieldViolation[] | undefined }) {
    super(fields);
    this.violations = fields.violations ?? [];
  }
}

/** What the call names does not exist. An unknown recipient's `metadata` names the agents that do. */
export class NotFoundError extends CoordinationClientError {
  override readonly name = "NotFoundError";
}

/** The coordination's state does not allow the call, for example because it was closed. Repeating does not help. */
export class PreconditionError extends CoordinationClientError {
  override readonly name: string = "PreconditionError";
}

/** What was waited for has failed: an agent completed with an error, or below the quality that was asked for. */
export class DependencyFailedError extends PreconditionError {
  override readonly name = "DependencyFailedError";
  /** The agent that has failed. */
  readonly agentId: string | undefined;
  /** The signal that said so. */
  readonly sequence: bigint | undefined;
  /** The condition's place among those waited for, from 0. */
  readonly conditionIndex: number | undefined;

  constructor(fields: CoordinationClientErrorFields) {
    super(fields);
    this.agentId = this.metadata["agent_id"];
    this.sequence = sequenceOf(this.metadata, "sequence");
    const index = sequenceOf(this.metadata, "condition_index");
    this.conditionIndex = index === undefined ? undefined : Number(index);
  }
}

/** A delivery was settled before, or its time had passed: nothing has changed. Where it was not settled, it is delivered again. */
export class AckExpiredError extends PreconditionError {
  override readonly name = "AckExpiredError";
}

/** No such delivery was ever made: nothing has changed. */
export class NotDeliveredError extends PreconditionError {
  override readonly name = "NotDeliveredError";
}

/** Somebody else was faster: read the present state, then decide. */
export class ConflictError extends CoordinationClientError {
  override readonly name: string = "ConflictError";
  /** The coordination's head sequence at that moment, when the server named it. */
  readonly headSequence: bigint | undefined;

  constructor(fields: CoordinationClientErrorFields) {
    super(fields);
    this.headSequence = sequenceOf(this.metadata, "head_sequence");
  }
}

/** Stands in a loop's path for agents that are left out; no agent has such a name. */
const pathGap = "...";

/** Agents wait for each other, so that none of them could go on: this wait would have closed the loop, or was its youngest. */
export class DeadlockError extends ConflictError {
  override readonly name = "DeadlockError";
  /** The agents in the order in which they wait, from this one back to it; all of them unless `omittedAgents` says otherwise. */
  readonly path: readonly string[];
  /** How many agents of a loop that is too long for an error are not in `path`: they come before its last one. 0 when it is whole. */
  readonly omittedAgents: number;

  constructor(fields: CoordinationClientErrorFields) {
    super(fields);
    this.path = this.metadata["path"]?.split(" -> ").filter((agentId) => agentId !== pathGap) ?? [];
    this.omittedAgents = Number(this.metadata["omitted_agents"] ?? 0);
  }
}

/**
 * The position is not one to continue from: expired (CURSOR_EXPIRED), of another incarnation of the log
 * (EPOCH_CHANGED), undone (ROLLED_BACK), or not reached yet (CURSOR_AHEAD). Nothing was skipped: decide where to go on.
 */
export class OutOfRangeError extends CoordinationClientError {
  override readonly name = "OutOfRangeError";
  /** The oldest sequence still in history. `from: { afterSequence: oldestSequence - 1n }` reads all there is. */
  readonly oldestSequence: bigint | undefined;
  /** The highest sequence ever assigned. */
  readonly headSequence: bigint | undefined;
  /**
   * Where to go on with what there is: `from: { afterSequence: resumeAfterSequence }`. As the server names it, or else
   * before the oldest signal, or at the head for a position that was ahead of it.
   */
  readonly resumeAfterSequence: bigint | undefined;
  /**
   * In order of priority, where to go on exactly: `from: { cursor: resumeCursor }`. `resumeAfterSequence` then misses nothing
   * either, but brings again what urgent levels had beyond it.
   */
  readonly resumeCursor: string | undefined;
  /** The incarnation of the log as it is now. */
  readonly epoch: string | undefined;

  constructor(fields: CoordinationClientErrorFields) {
    super(fields);
    this.oldestSequence = sequenceOf(this.metadata, "oldest_sequence");
    this.headSequence = sequenceOf(this.metadata, "head_sequence");
    this.resumeAfterSequence = sequenceOf(this.metadata, "resume_after_sequence") ?? this.#nearestPosition();
    this.resumeCursor = this.metadata["resume_cursor"];
    this.epoch = this.metadata["epoch"];
  }

  #nearestPosition(): bigint | undefined {
    if (this.reason === "CURSOR_AHEAD") return this.headSequence;
    return this.oldestSequence === undefined || this.oldestSequence === 0n ? undefined : this.oldestSequence - 1n;
  }
}

/** A limit was reached, at the server or in this client's send queue: slow down, and come back later. */
export class OverloadedError extends CoordinationClientError {
  override readonly name = "OverloadedError";
}

/** The server cannot be reached or is shutting down. Repeat with the same `requestId` and nothing is stored twice. */
export class UnavailableError extends CoordinationClientError {
  override readonly name = "UnavailableError";
}

/**
 * The call took longer than its timeout; whether the server acted on it is not known. For waits and requests: what was waited
 * for has not come in time (`WAIT_TIMEOUT`, `REQUEST_TIMEOUT`); the message says what is missing and who could bring it.
 */
export class TimeoutError extends CoordinationClientError {
  override readonly name = "TimeoutError";
}

/** The caller gave up: its `AbortSignal` was aborted (its reason is the `cause`), or the client was closed. */
export class CancelledError extends CoordinationClientError {
  override readonly name = "CancelledError";
}

/** The caller may not do this: bring other credentials. */
export class AccessDeniedError extends CoordinationClientError {
  override readonly name = "AccessDeniedError";
}

/** The ranges a subscription scanned do not join. Signals may be missing in between, so nothing more is handed out. */
export class SequenceGapError extends CoordinationClientError {
  override readonly name = "SequenceGapError";
  /** Everything up to this sequence was seen. */
  readonly expectedAfterSequence: bigint;
  /** What came next began after this sequence. */
  readonly actualAfterSequence: bigint;

  constructor(expectedAfterSequence: bigint, actualAfterSequence: bigint) {
    super({
      message: `the range scanned begins after sequence ${actualAfterSequence}, the previous one ended with ${expectedAfterSequence}`,
      reason: "SEQUENCE_GAP",
      code: "DATA_LOSS",
      metadata: {
        expected_after_sequence: String(expectedAfterSequence),
        actual_after_sequence: String(actualAfterSequence),
      },
    });
    this.expectedAfterSequence = expectedAfterSequence;
    this.actualAfterSequence = actualAfterSequence;
  }
}

/** Nothing the caller can do: the server, something between it and the client, or the client is broken. Report it. */
export class InternalError extends CoordinationClientError {
  override readonly name = "InternalError";
}

function isRetryable(code: StatusCode, retryDelayMs: number | undefined): boolean {
  return code === "UNAVAILABLE" || (code === "RESOURCE_EXHAUSTED" && retryDelayMs !== undefined);
}

function sequenceOf(metadata: Readonly<Record<string, string>>, key: string): bigint | undefined {
  const text = metadata[key];
  return text !== undefined && /^\d{1,20}$/.test(text) ? BigInt(text) : undefined;
}
