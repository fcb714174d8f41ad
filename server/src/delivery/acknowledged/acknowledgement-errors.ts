import { CoordinationError } from "../../model/coordination-error.js";
import { maxSuggestedCharacters } from "../../model/limits.js";

/** Agents that an error names: its details must fit into HTTP/2 trailers. */
const maxNamedAgents = 16;

export function subscriptionNotFound(coordinationId: string, name: string): CoordinationError {
  return new CoordinationError(
    "SUBSCRIPTION_NOT_FOUND",
    `coordination "${coordinationId}" has no subscription "${name}"`,
    { metadata: { coordination_id: coordinationId, subscription: name } },
  );
}

/** The subscription was made otherwise than it is asked for. */
export function subscriptionConflict(
  name: string,
  { field, found, wanted }: { readonly field: string; readonly found: string; readonly wanted: string },
): CoordinationError {
  return new CoordinationError(
    "SUBSCRIPTION_CONFLICT",
    `subscription "${name}" exists with ${field} ${found}, the request says ${wanted}`,
    { metadata: { subscription: name, field } },
  );
}

/** The subscription was made with another filter. */
export function filterConflict(name: string): CoordinationError {
  return new CoordinationError("SUBSCRIPTION_CONFLICT", `subscription "${name}" exists with another filter`, {
    metadata: { subscription: name, field: "filter" },
  });
}

export function tooManyNamedSubscriptions(coordinationId: string, limit: number): CoordinationError {
  return new CoordinationError(
    "TOO_MANY_SUBSCRIPTIONS",
    `coordination "${coordinationId}" has ${limit} named subscriptions, which is the limit`,
    { metadata: { limit: String(limit) } },
  );
}

/** Why a delivery that was made cannot be acknowledged any more. */
export type AckExpiredCause = "settled" | "dead_lettered" | "rolled_back" | "superseded" | "released" | "expired";

/** `why` says the cause to people, as in "is settled". */
export function ackExpired(deliveryId: string, cause: AckExpiredCause, why: string): CoordinationError {
  return new CoordinationError("ACK_EXPIRED", `delivery "${deliveryId}" ${why}`, {
    metadata: { delivery_id: deliveryId, cause },
  });
}

export function notDelivered(deliveryId: string, name: string): CoordinationError {
  return new CoordinationError(
    "NOT_DELIVERED",
    `subscription "${name}" has never made a delivery "${deliveryId.slice(0, 64)}"`,
    { metadata: { delivery_id: deliveryId.slice(0, 64) } },
  );
}

export function notADeadLetter(name: string, sequence: string): CoordinationError {
  return new CoordinationError(
    "SIGNAL_NOT_FOUND",
    `subscription "${name}" has no dead letter of sequence ${sequence}`,
    { metadata: { subscription: name, sequence } },
  );
}

/** Dead letters were named to be redriven, and there is no room for them. */
export function tooManyRedriven(
  coordinationId: string,
  { wanted, redriven, limit }: { readonly wanted: number; readonly redriven: number; readonly limit: number },
): CoordinationError {
  return new CoordinationError(
    "TOO_MANY_REDRIVEN",
    `coordination "${coordinationId}" has ${redriven} redriven signals that are not settled, with ${wanted} more it would have more than ${limit}`,
    { metadata: { coordination_id: coordinationId, redriven: String(redriven), limit: String(limit) } },
  );
}

/** Agents have to acknowledge a signal that no named subscription of theirs could get. */
export function noAcknowledgers(agentIds: readonly string[]): CoordinationError {
  const agents = namesOf(agentIds);
  return new CoordinationError(
    "NO_RESPONDERS",
    `nobody can acknowledge the signal for ${agents}: no named subscription of theirs could get it`,
    { metadata: { agents } },
  );
}

/** A signal that is stored, and of which acknowledgements are required. */
export interface AwaitedSignal {
  readonly signalId: string;
  readonly sequence: bigint;
}

/** An agent that does not acknowledge, and why. */
export interface UnacknowledgedBy {
  readonly agentId: string;
  /** As in "it rejected it". */
  readonly why: string;
}

/** Agents will not acknowledge a signal. */
export function notAcknowledged(signal: AwaitedSignal, by: readonly UnacknowledgedBy[]): CoordinationError {
  return new CoordinationError(
    "NOT_ACKNOWLEDGED",
    `signal ${signal.sequence} is stored, and will not be acknowledged: ${reasonsOf(by)}`,
    { metadata: { ...placeOf(signal), agents: namesOf(by.map(({ agentId }) => agentId)) } },
  );
}

/** Agents have not acknowledged a signal in time. */
export function ackTimeout(
  signal: AwaitedSignal,
  timeoutMs: number,
  by: readonly UnacknowledgedBy[],
): CoordinationError {
  const missing = namesOf(by.map(({ agentId }) => agentId));
  return new CoordinationError(
    "REQUEST_TIMEOUT",
    `signal ${signal.sequence} is stored, and was not acknowledged within ${timeoutMs} ms: ${reasonsOf(by)}`,
    { metadata: { ...placeOf(signal), missing, missing_count: String(by.length) } },
  );
}

/** The coordination was closed before a signal was acknowledged. */
export function closedUnacknowledged(
  signal: AwaitedSignal,
  { coordinationId, closeReason }: { readonly coordinationId: string; readonly closeReason: string },
): CoordinationError {
  const why = closeReason === "" ? "" : `: ${closeReason}`;
  return new CoordinationError(
    "COORDINATION_CLOSED",
    `coordination "${coordinationId}" was closed${why}; signal ${signal.sequence} is stored, and not acknowledged by all`,
    { metadata: { coordination_id: coordinationId, ...placeOf(signal) } },
  );
}

/** The server stops before a signal was acknowledged. */
export function interruptedUnacknowledged(signal: AwaitedSignal): CoordinationError {
  return new CoordinationError(
    "SHUTTING_DOWN",
    `the server is shutting down; signal ${signal.sequence} is stored: send it again with the same request_id to wait on`,
    { metadata: placeOf(signal), retryDelayMs: 100 },
  );
}

/** Separated by commas. */
function namesOf(agentIds: readonly string[]): string {
  return cut(agentIds.slice(0, maxNamedAgents).join(","));
}

function reasonsOf(by: readonly UnacknowledgedBy[]): string {
  const named = by.slice(0, maxNamedAgents).map(({ agentId, why }) => `${agentId} (${why})`);
  return cut(named.join(", "));
}

function cut(text: string): string {
  return text.length <= maxSuggestedCharacters ? text : `${text.slice(0, maxSuggestedCharacters - 3)}...`;
}

function placeOf({ signalId, sequence }: AwaitedSignal): Record<string, string> {
  return { signal_id: signalId, sequence: String(sequence) };
}
