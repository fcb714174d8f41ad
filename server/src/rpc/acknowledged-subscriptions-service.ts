import { create } from "@bufbuild/protobuf";
import { durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  AckAction,
  type Acknowledgement,
  type AcknowledgementResult,
  AcknowledgementResultSchema,
  AcknowledgementSchema,
  type DeadLetter,
  DeadLetterReason,
  DeadLetterSchema,
} from "@coordination-signals/proto/coordination/v1/acknowledgement";
import {
  type AcknowledgeSignalsRequest,
  type ListDeadLettersRequest,
  ListDeadLettersRequestSchema,
  type ListSubscriptionsRequest,
  ListSubscriptionsRequestSchema,
  type RedriveDeadLettersRequest,
  type SignalService,
  type Subscription,
  SubscriptionSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { AckItem, AckOutcome } from "../delivery/acknowledged/acknowledge-operation.js";
import type { DeadLetterView } from "../delivery/acknowledged/acknowledged-subscriptions.js";
import { CoordinationError } from "../model/coordination-error.js";
import { maxResponseBytes } from "../model/limits.js";
import type { DeadLetterCause } from "../state/subscription-record.js";
import { cutToBytes } from "./cut-to-bytes.js";
import { statusFrom } from "./error-details.js";
import { createdSubscription, subscriptionMessage } from "./named-subscription.js";
import { decodePageToken, encodePageToken, listingOf } from "./page-token.js";
import { optionalTimestamp, pageSizeOf } from "./request-fields.js";
import type { ServiceDependencies } from "./service-dependencies.js";

type Methods =
  | "acknowledgeSignals"
  | "listDeadLetters"
  | "redriveDeadLetters"
  | "createSubscription"
  | "listSubscriptions"
  | "deleteSubscription";

/** Serves the part of `SignalService` that is about named subscriptions. */
export function acknowledgedSubscriptionsService(
  dependencies: ServiceDependencies,
): Pick<ServiceImpl<typeof SignalService>, Methods> {
  const { coordinator, expressions } = dependencies;
  return {
    acknowledgeSignals: (request) => acknowledgeSignals(dependencies, request),
    listDeadLetters: (request) => listDeadLetters(dependencies, request),
    redriveDeadLetters: (request) => redriveDeadLetters(dependencies, request),
    async createSubscription(request) {
      const { coordinationId } = request;
      const view = await coordinator.changingNamed.create(coordinationId, createdSubscription(request, expressions));
      return { subscription: subscriptionMessage(coordinationId, view) };
    },
    listSubscriptions: (request) => listSubscriptions(dependencies, request),
    async deleteSubscription({ coordinationId, subscription }) {
      await coordinator.changingNamed.delete(coordinationId, subscription);
      return {};
    },
  };
}

async function acknowledgeSignals(dependencies: ServiceDependencies, request: AcknowledgeSignalsRequest) {
  const { coordinator, metrics } = dependencies;
  const { coordinationId, subscription, acknowledgements } = request;
  const parsed = acknowledgements.map((acknowledgement) => parsedItem(dependencies, acknowledgement));
  const items = parsed.flatMap((item) => (item instanceof CoordinationError ? [] : [item]));
  const outcomes = await coordinator.changingNamed.acknowledge(coordinationId, subscription, items);
  let next = 0;
  const results = parsed.map((item): AckOutcome => {
    const refused = { is: "refused", error: item as CoordinationError } as const;
    return item instanceof CoordinationError ? refused : (outcomes[next++] ?? refused);
  });
  for (const result of results) if (result.is === "refused") metrics.error(result.error.reason);
  return { results: results.map(resultMessage) };
}

/** What an acknowledgement asks for, or why it cannot be. */
function parsedItem({ validator }: ServiceDependencies, message: Acknowledgement): AckItem | CoordinationError {
  try {
    validator.validate(AcknowledgementSchema, message);
    return itemOf(message);
  } catch (error) {
    if (error instanceof CoordinationError) return error;
    throw error;
  }
}

const actions: Readonly<Record<AckAction, AckItem["action"]>> = {
  [AckAction.UNSPECIFIED]: "ack",
  [AckAction.ACK]: "ack",
  [AckAction.NACK]: "nack",
  [AckAction.EXTEND]: "extend",
  [AckAction.REJECT]: "reject",
};

/** Throws INVALID_REQUEST for what does not go with the action. */
function itemOf({ deliveryId, action, reason, delay }: Acknowledgement): AckItem {
  const item = actions[action];
  if (reason !== "" && item !== "nack" && item !== "reject") {
    throw contradiction("reason", "goes with ACK_ACTION_NACK and ACK_ACTION_REJECT only", action);
  }
  if (delay !== undefined && item !== "nack" && item !== "extend") {
    throw contradiction("delay", "goes with ACK_ACTION_NACK and ACK_ACTION_EXTEND only", action);
  }
  const delayMs = delay && durationMs(delay);
  if (item === "extend" && delayMs !== undefined && delayMs <= 0) {
    throw contradiction("delay", "must be more than 0", action);
  }
  return { deliveryId, action: item, reason, delayMs };
}

function contradiction(field: string, message: string, action: AckAction): CoordinationError {
  return new CoordinationError("INVALID_REQUEST", `${field}: ${message}, action is ${AckAction[action]}`, {
    metadata: { field },
  });
}

function resultMessage(outcome: AckOutcome): AcknowledgementResult {
  switch (outcome.is) {
    case "acknowledged":
      return create(AcknowledgementResultSchema);
    case "resting":
      return create(AcknowledgementResultSchema, { availableTime: timestampFromMs(outcome.availableMs) });
    case "extended":
      return create(AcknowledgementResultSchema, { deadline: timestampFromMs(outcome.deadlineMs) });
    case "buried":
      return create(AcknowledgementResultSchema, { deadLettered: true });
    case "refused":
      return create(AcknowledgementResultSchema, { error: statusFrom(outcome.error) });
  }
}

async function listDeadLetters({ coordinator }: ServiceDependencies, request: ListDeadLettersRequest) {
  const listing = listingOf(ListDeadLettersRequestSchema, request);
  const [before] = decodePageToken(request.pageToken, listing, 1) ?? [];
  const { letters, nextBeforeNumber, count, droppedCount } = await coordinator.named.deadLetters(
    request.coordinationId,
    {
      name: request.subscription === "" ? undefined : request.subscription,
      beforeNumber: before === undefined ? undefined : Number(before),
      limit: pageSizeOf(request.pageSize),
      maxBytes: maxResponseBytes,
    },
  );
  return {
    deadLetters: letters.map(deadLetterMessage),
    nextPageToken: nextBeforeNumber === undefined ? "" : encodePageToken(listing, [String(nextBeforeNumber)]),
    deadLetterCount: BigInt(count),
    droppedCount: BigInt(droppedCount),
  };
}

/** The contract's name of why a signal became a dead letter. */
export function deadLetterReason(cause: DeadLetterCause): DeadLetterReason {
  return reasons[cause];
}

const reasons: Readonly<Record<DeadLetterCause, DeadLetterReason>> = {
  maxAttempts: DeadLetterReason.MAX_ATTEMPTS,
  rejected: DeadLetterReason.REJECTED,
  retention: DeadLetterReason.RETENTION,
  filterBudget: DeadLetterReason.FILTER_BUDGET,
};

function deadLetterMessage({ record, entry }: DeadLetterView): DeadLetter {
  const firstDeliveryTime = optionalTimestamp(record.firstTimeMs);
  const lastDeliveryTime = optionalTimestamp(record.lastTimeMs);
  return create(DeadLetterSchema, {
    subscription: record.subscription,
    sequence: BigInt(record.sequence),
    signal: entry.signal,
    reason: reasons[record.cause],
    detail: record.detail,
    attempts: record.attempts,
    ...(firstDeliveryTime !== undefined && { firstDeliveryTime }),
    ...(lastDeliveryTime !== undefined && { lastDeliveryTime }),
    createTime: timestampFromMs(record.createTimeMs),
  });
}

async function redriveDeadLetters({ coordinator }: ServiceDependencies, request: RedriveDeadLettersRequest) {
  const { coordinationId, subscription, sequences } = request;
  if (subscription === "" && sequences.length > 0) {
    throw new CoordinationError("INVALID_REQUEST", "sequences: they are of one subscription, and none is named", {
      metadata: { field: "sequences" },
    });
  }
  const name = subscription === "" ? undefined : subscription;
  return { redrivenCount: BigInt(await coordinator.changingNamed.redrive(coordinationId, { name, sequences })) };
}

async function listSubscriptions({ coordinator }: ServiceDependencies, request: ListSubscriptionsRequest) {
  const { coordinationId } = request;
  const listing = listingOf(ListSubscriptionsRequestSchema, request);
  const [after = ""] = decodePageToken(request.pageToken, listing, 1) ?? [];
  const views = await coordinator.look(coordinationId, ({ session }) => coordinator.named.views(session));
  const rest = views.filter(({ record }) => record.name > after);
  const page = rest.slice(0, pageSizeOf(request.pageSize));
  const subscriptions: Subscription[] = cutToBytes(SubscriptionSchema, page, {
    messageOf: (view) => subscriptionMessage(coordinationId, view),
  });
  const last = subscriptions.at(-1)?.subscription ?? "";
  return {
    subscriptions,
    nextPageToken: subscriptions.length < rest.length ? encodePageToken(listing, [last]) : "",
  };
}
