import { create } from "@bufbuild/protobuf";
import {
  type CreateSubscriptionRequest,
  CreateSubscriptionRequestSchema,
  type SubscribeRequest,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { invalidOption } from "../errors/invalid-option.js";
import {
  assertKnownOptions,
  type SignalFilterOptions,
  signalFilterFrom,
  signalFilterKeys,
} from "../signals/signal-filter.js";
import type { SignalEventCase } from "../signals/typed-signal.js";
import { orderFrom, type SubscribeOptions, subscribeRequests } from "../subscription/subscribe-options.js";
import {
  type DeliveryOrder,
  type StreamStart,
  type SubscriptionStart,
  streamStartFrom,
} from "../subscription/subscription-start.js";
import { type AckOptions, ackPolicyFrom } from "./ack-policy.js";

/** What fixes a durable subscription. Whoever names it again must say the same, or leave `from` out. */
export interface DurableSubscriptionOptions<Case extends SignalEventCase = SignalEventCase>
  extends SignalFilterOptions<Case> {
  /** Its name in the coordination: 1 to 200 characters out of letters, digits and `.` `_` `:` `/` `-`. */
  readonly subscription: string;
  /** Where to start. Default "latest". Afterwards it goes on by its name. */
  readonly from?: Exclude<SubscriptionStart, { readonly cursor: string }> | undefined;
  /**
   * In which order pending signals come: as they were stored, or "control" before "high", "normal" and "low", none of them
   * starving. What is delivered again keeps its priority. Default "sequence".
   */
  readonly order?: DeliveryOrder | undefined;
  /** Whether an agent also gets its own signals. Default false. */
  readonly includeOwn?: boolean | undefined;
  /** How deliveries are acknowledged and repeated. */
  readonly ack?: AckOptions | undefined;
}

/** What to read with acknowledgements, and how. */
export interface AcknowledgedSubscribeOptions<Case extends SignalEventCase = SignalEventCase>
  extends DurableSubscriptionOptions<Case>,
    Omit<SubscribeOptions<Case>, "from" | "order"> {}

const durableKeys = [
  ...signalFilterKeys,
  "subscription",
  "from",
  "order",
  "includeOwn",
  "ack",
] as const satisfies readonly (keyof DurableSubscriptionOptions)[];

/** Whether options ask for acknowledgements. */
export function isAcknowledged(options: object): options is AcknowledgedSubscribeOptions {
  return "subscription" in options || "ack" in options;
}

/** Where a durable subscription starts; `undefined` when it is left to the server. Throws InvalidRequestError. */
export function durableStartFrom({ from }: Pick<DurableSubscriptionOptions, "from">): StreamStart | undefined {
  if (from === undefined) return undefined;
  if (typeof from === "object" && "cursor" in from) {
    throw invalidOption("from has a cursor, which a named subscription cannot start at: it goes on by its name");
  }
  return streamStartFrom(from);
}

/** Makes the request of every stream of a named subscription. Throws InvalidRequestError for what cannot be understood. */
export function acknowledgedRequests(
  reader: { readonly coordinationId: string; readonly agentId: string | undefined },
  options: AcknowledgedSubscribeOptions,
): (start: SubscribeRequest["start"]) => SubscribeRequest {
  const { subscription, ack, ...others } = options;
  assertNamed(subscription);
  const ackPolicy = ackPolicyFrom(ack);
  const requestFrom = subscribeRequests(reader, others);
  return (start) => ({ ...requestFrom(start), subscription, ackPolicy });
}

/** Makes the request that makes a durable subscription. Throws InvalidRequestError for what cannot be understood. */
export function createSubscriptionRequest(
  reader: { readonly coordinationId: string; readonly agentId: string | undefined },
  options: DurableSubscriptionOptions,
): CreateSubscriptionRequest {
  assertKnownOptions(options, durableKeys);
  assertNamed(options.subscription);
  const start = durableStartFrom(options)?.start ?? { case: undefined };
  return create(CreateSubscriptionRequestSchema, {
    coordinationId: reader.coordinationId,
    agentId: reader.agentId ?? "",
    filter: signalFilterFrom(options),
    order: orderFrom(options.order),
    subscription: options.subscription,
    ackPolicy: ackPolicyFrom(options.ack),
    includeOwn: options.includeOwn ?? false,
    // A cursor was refused above: the contract has no place for it here.
    start: start.case === "cursor" ? { case: undefined } : start,
  });
}

function assertNamed(subscription: unknown): void {
  if (typeof subscription === "string" && subscription !== "") return;
  throw invalidOption("subscription is missing: what is acknowledged needs a name that its consumers share");
}
