import { create } from "@bufbuild/protobuf";
import {
  DeliveryOrder as OrderOfContract,
  type SubscribeRequest,
  SubscribeRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { invalidOption } from "../errors/invalid-option.js";
import { checkNumber, endlessRule, timeoutRule } from "../options/check-number.js";
import { spanFrom } from "../options/span-from.js";
import {
  assertKnownOptions,
  type SignalFilterOptions,
  signalFilterFrom,
  signalFilterKeys,
} from "../signals/signal-filter.js";
import { type SignalTransformOptions, signalTransformFrom } from "../signals/signal-transform.js";
import type { SignalEventCase } from "../signals/typed-signal.js";
import type { DeliveryOrder, SubscriptionStart } from "./subscription-start.js";
import type { SubscriptionStatus } from "./subscription-status.js";

/** What to read, and how. */
export interface SubscribeOptions<Case extends SignalEventCase = SignalEventCase> extends SignalFilterOptions<Case> {
  /** Where to start. Default "latest". */
  readonly from?: SubscriptionStart | undefined;
  /**
   * In which order pending signals come: as they were stored, or "control" before "high", "normal" and "low". A cursor resumes
   * the order that it was taken in. Default "sequence".
   */
  readonly order?: DeliveryOrder | undefined;
  /** Whether an agent also gets its own signals. Default false. An observer gets all. */
  readonly includeOwn?: boolean | undefined;
  /** What becomes of signals before they are handed out. Default: nothing. */
  readonly transform?: SignalTransformOptions | undefined;
  /** Ends the subscription as `close()` does. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How often an idle subscription reports its position, in milliseconds, from 100 to 600,000. Default 5,000. When three
   * of them pass in silence, the connection counts as lost and is made anew.
   */
  readonly checkpointIntervalMs?: number | undefined;
  /** Reports status "idle" each time the consumer has waited this long for a signal, in milliseconds. Default: never. */
  readonly idleTimeoutMs?: number | undefined;
  /**
   * How long a lost stream is tried to be replaced before the iteration throws UnavailableError, in milliseconds. Default
   * 600,000 (ten minutes).
   */
  readonly reconnectTimeoutMs?: number | undefined;
  /** Called with each status as it happens. What it throws ends the subscription and is thrown by the iteration. */
  readonly onStatus?: ((status: SubscriptionStatus) => void) | undefined;
}

/** How often an idle subscription reports its position unless it says otherwise, in milliseconds. */
export const defaultCheckpointIntervalMs = 5_000;
/** How long a lost stream is tried to be replaced unless the options say otherwise, in milliseconds. */
export const defaultReconnectTimeoutMs = 600_000;
/** Checkpoint intervals of silence after which a stream counts as lost. */
export const silentCheckpointIntervals = 3;

const subscribeKeys = [
  ...signalFilterKeys,
  "from",
  "order",
  "includeOwn",
  "transform",
  "signal",
  "checkpointIntervalMs",
  "idleTimeoutMs",
  "reconnectTimeoutMs",
  "onStatus",
] as const satisfies readonly (keyof SubscribeOptions)[];

const orders: Readonly<Record<DeliveryOrder, OrderOfContract>> = {
  sequence: OrderOfContract.SEQUENCE,
  priority: OrderOfContract.PRIORITY,
};

/** Makes the request of a stream from its start. Throws InvalidRequestError for options that cannot be understood. */
export function subscribeRequests(
  reader: { readonly coordinationId: string; readonly agentId: string | undefined },
  options: SubscribeOptions,
): (start: SubscribeRequest["start"]) => SubscribeRequest {
  assertKnownOptions(options, subscribeKeys);
  const order = orderFrom(options.order);
  const { checkpointIntervalMs = defaultCheckpointIntervalMs } = options;
  checkNumber("checkpointIntervalMs", checkpointIntervalMs, timeoutRule);
  checkNumber("idleTimeoutMs", options.idleTimeoutMs, timeoutRule);
  checkNumber("reconnectTimeoutMs", options.reconnectTimeoutMs, endlessRule);
  const filter = signalFilterFrom(options);
  const transform = signalTransformFrom(options.transform);
  return (start) =>
    create(SubscribeRequestSchema, {
      coordinationId: reader.coordinationId,
      agentId: reader.agentId ?? "",
      filter,
      start,
      order,
      checkpointInterval: spanFrom("checkpointIntervalMs", checkpointIntervalMs),
      includeOwn: options.includeOwn ?? false,
      ...(transform && { transform }),
    });
}

/** The contract's value for an order. Throws InvalidRequestError for a word that is none. */
export function orderFrom(order: DeliveryOrder = "sequence"): OrderOfContract {
  if (Object.hasOwn(orders, order)) return orders[order];
  throw invalidOption(`order is ${JSON.stringify(order)}, it must be "sequence" or "priority"`);
}
