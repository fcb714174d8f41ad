import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { durationFromMs, durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AckMode, type AckPolicy, AckPolicySchema } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { type SignalFilter, SignalFilterSchema } from "@coordination-signals/proto/coordination/v1/signal";
import {
  type CreateSubscriptionRequest,
  DeliveryOrder,
  StartPosition,
  type SubscribeRequest,
  type Subscription,
  SubscriptionSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { NamedRequest } from "../delivery/acknowledged/join-operation.js";
import type { SubscriptionView } from "../delivery/acknowledged/subscription-view.js";
import { CoordinationError } from "../model/coordination-error.js";
import type { FilterExpressionCompiler } from "../model/filter-expression.js";
import {
  defaultAckDeadlineMs,
  defaultMaxBackoffMs,
  defaultMaxDeliveryAttempts,
  defaultMaxOutstanding,
  defaultMinBackoffMs,
  maxNamedFilterBytes,
} from "../model/limits.js";
import { compileSignalFilter } from "../model/signal-filter.js";
import type {
  SubscriptionDefinition,
  SubscriptionPolicy,
  SubscriptionStartRecord,
} from "../state/subscription-record.js";
import { spanMs, subscriptionStart } from "./request-fields.js";

/**
 * The named subscription that a Subscribe request joins; undefined where it reads for itself. Throws INVALID_REQUEST for a name
 * without ACK_MODE_EXPLICIT, for that without a name, and with a cursor.
 */
export function namedRequestOf(request: SubscribeRequest): NamedRequest | undefined {
  const { subscription: name, ackPolicy, start } = request;
  const isExplicit = ackPolicy?.mode === AckMode.EXPLICIT;
  if (!isExplicit) {
    if (name !== "") throw invalid("subscription", "goes with ack_policy.mode ACK_MODE_EXPLICIT only");
    if (ackPolicy !== undefined) refuseIdlePolicy(ackPolicy);
    return undefined;
  }
  if (name === "") throw invalid("ack_policy", "ACK_MODE_EXPLICIT needs the name of a subscription");
  if (start.case === "cursor") throw invalid("cursor", "a named subscription goes on by its name, not by a cursor");
  return { name, definition: definitionOf(request), agreesWithAnyStart: start.case === undefined };
}

/** The named subscription that is to be made. Throws INVALID_REQUEST, INVALID_FILTER. */
export function createdSubscription(
  request: CreateSubscriptionRequest,
  expressions: FilterExpressionCompiler,
): NamedRequest {
  const { subscription: name, ackPolicy, filter, start } = request;
  if (ackPolicy?.mode === AckMode.NONE) {
    throw invalid("ack_policy.mode", "a named subscription has ACK_MODE_EXPLICIT");
  }
  // What cannot be compiled is refused before it is stored.
  compileSignalFilter(filter, expressions);
  return { name, definition: definitionOf(request), agreesWithAnyStart: start.case === undefined };
}

/** A named subscription as the contract shows it. */
export function subscriptionMessage(coordinationId: string, view: SubscriptionView): Subscription {
  const { record, scannedSequence, headSequence } = view;
  const { policy } = record;
  return create(SubscriptionSchema, {
    subscription: record.name,
    coordinationId,
    agentId: record.agentId,
    ...(record.filter !== "" && { filter: fromBinary(SignalFilterSchema, Buffer.from(record.filter, "base64")) }),
    start: startMessage(record.start),
    order: record.order === "priority" ? DeliveryOrder.PRIORITY : DeliveryOrder.SEQUENCE,
    ackPolicy: create(AckPolicySchema, {
      mode: AckMode.EXPLICIT,
      ackDeadline: durationFromMs(policy.ackDeadlineMs),
      maxDeliveryAttempts: policy.maxDeliveryAttempts,
      minBackoff: durationFromMs(policy.minBackoffMs),
      maxBackoff: durationFromMs(policy.maxBackoffMs),
      maxOutstanding: policy.maxOutstanding,
    }),
    includeOwn: record.includeOwn,
    createTime: timestampFromMs(record.createTimeMs),
    scannedSequence,
    deliveryLag: headSequence > scannedSequence ? headSequence - scannedSequence : 0n,
    outstandingCount: BigInt(view.outstandingCount),
    leasedCount: BigInt(view.leasedCount),
    deadLetterCount: BigInt(view.deadLetterCount),
    consumerCount: BigInt(view.consumerCount),
  });
}

function definitionOf(request: SubscribeRequest | CreateSubscriptionRequest): SubscriptionDefinition {
  return {
    agentId: request.agentId,
    filter: filterText(request.filter),
    start: startRecord(request.start),
    order: request.order === DeliveryOrder.PRIORITY ? "priority" : undefined,
    includeOwn: request.includeOwn,
    policy: policyOf(request.ackPolicy),
  };
}

/** A filter in one form, so that two that say the same in another order are the same. */
function filterText(filter: SignalFilter | undefined): string {
  if (filter === undefined) return "";
  const metadata = Object.fromEntries(Object.entries(filter.metadata).sort(([a], [b]) => (a < b ? -1 : 1)));
  const bytes = toBinary(SignalFilterSchema, {
    ...filter,
    signalTypes: [...new Set(filter.signalTypes)].sort((a, b) => a - b),
    senderAgentIds: [...new Set(filter.senderAgentIds)].sort(),
    metadata,
  });
  if (bytes.length > maxNamedFilterBytes) {
    throw invalid(
      "filter",
      `the filter of a named subscription is ${bytes.length} bytes, limit is ${maxNamedFilterBytes}`,
    );
  }
  return Buffer.from(bytes).toString("base64");
}

function startRecord(start: SubscribeRequest["start"]): SubscriptionStartRecord {
  const parsed = subscriptionStart(start);
  if (parsed.at === "cursor") throw invalid("cursor", "a named subscription goes on by its name, not by a cursor");
  return parsed.at === "sequence" ? { at: parsed.at, afterSequence: String(parsed.afterSequence) } : parsed;
}

function startMessage(start: SubscriptionStartRecord): Subscription["start"] {
  switch (start.at) {
    case "latest":
      return { case: "position", value: StartPosition.LATEST };
    case "earliest":
      return { case: "position", value: StartPosition.EARLIEST };
    case "sequence":
      return { case: "afterSequence", value: BigInt(start.afterSequence) };
    case "time":
      return { case: "startTime", value: timestampFromMs(start.timeMs) };
  }
}

function policyOf(policy: AckPolicy | undefined): SubscriptionPolicy {
  const { minBackoff, maxBackoff } = policy ?? {};
  const greatestMs = spanMs(
    maxBackoff,
    Math.max(defaultMaxBackoffMs, minBackoff === undefined ? 0 : durationMs(minBackoff)),
  );
  const leastMs = spanMs(minBackoff, Math.min(defaultMinBackoffMs, greatestMs));
  if (leastMs > greatestMs) {
    throw invalid("ack_policy.max_backoff", `is ${greatestMs} ms, min_backoff is ${leastMs} ms: it must not be below`);
  }
  return {
    ackDeadlineMs: spanMs(policy?.ackDeadline, defaultAckDeadlineMs),
    maxDeliveryAttempts: policy?.maxDeliveryAttempts || defaultMaxDeliveryAttempts,
    minBackoffMs: leastMs,
    maxBackoffMs: greatestMs,
    maxOutstanding: policy?.maxOutstanding || defaultMaxOutstanding,
  };
}

/** Throws INVALID_REQUEST for a policy that says how to acknowledge and not that anything is. */
function refuseIdlePolicy({
  ackDeadline,
  maxDeliveryAttempts,
  minBackoff,
  maxBackoff,
  maxOutstanding,
}: AckPolicy): void {
  const isIdle =
    ackDeadline === undefined &&
    minBackoff === undefined &&
    maxBackoff === undefined &&
    maxDeliveryAttempts === 0 &&
    maxOutstanding === 0;
  if (!isIdle) throw invalid("ack_policy", "its mode is not ACK_MODE_EXPLICIT, which its other fields go with");
}

function invalid(field: string, message: string): CoordinationError {
  return new CoordinationError("INVALID_REQUEST", `${field}: ${message}`, { metadata: { field } });
}
