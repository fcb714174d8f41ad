import { CoordinationError } from "../../model/coordination-error.js";

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

export function ackExpired(deliveryId: string, why: string): CoordinationError {
  return new CoordinationError("ACK_EXPIRED", `delivery "${deliveryId}" ${why}`, {
    metadata: { delivery_id: deliveryId },
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
