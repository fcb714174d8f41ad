import type { SubscribeRequest } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { SubscriptionRequest } from "../delivery/subscription.js";
import { defaultCheckpointIntervalMs } from "../model/limits.js";
import { compileSignalFilter } from "../model/signal-filter.js";
import { keptFilter } from "./kept-filter.js";
import { namedRequestOf } from "./named-subscription.js";
import { deliveryOrder, spanMs, subscriptionStart } from "./request-fields.js";
import type { ServiceDependencies } from "./service-dependencies.js";

/** What a Subscribe request asks for. Throws INVALID_REQUEST, INVALID_FILTER, INVALID_TRANSFORM, INVALID_CURSOR. */
export function subscriptionRequest(
  { expressions, compileTransform }: Pick<ServiceDependencies, "expressions" | "compileTransform">,
  request: SubscribeRequest,
): SubscriptionRequest {
  return {
    named: namedRequestOf(request),
    coordinationId: request.coordinationId,
    agentId: request.agentId,
    filter: compileSignalFilter(request.filter, expressions),
    filterBytes: keptFilter(request.filter),
    transform: compileTransform(request.transform),
    start: subscriptionStart(request.start),
    order: deliveryOrder(request.order),
    includeOwn: request.includeOwn,
    checkpointIntervalMs: spanMs(request.checkpointInterval, defaultCheckpointIntervalMs),
  };
}
