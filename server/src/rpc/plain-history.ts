import { Priority, type SignalFilter } from "@coordination-signals/proto/coordination/v1/signal";
import { type GetSignalHistoryRequest, HistoryOrder } from "@coordination-signals/proto/coordination/v1/signal_service";
import { isId } from "./plain-names.js";

/*
 * As `isPlainSend`, for requests to read history: a reader of many pages is not kept waiting for the validator with each, and
 * the first one after a start not for its rules to be compiled. Invariant: it is never more lenient than the rules.
 */

const maxPageSize = 1_000;
const maxPageTokenLength = 1_024;

/** Whether a request keeps every rule of the contract for certain. False says that it has to be looked at closely. */
export function isPlainHistory(request: GetSignalHistoryRequest): boolean {
  const { coordinationId, filter, pageSize, pageToken, order } = request;
  return (
    request.$unknown === undefined &&
    (filter === undefined || isEmpty(filter)) &&
    isId(coordinationId) &&
    pageSize >= 0 &&
    pageSize <= maxPageSize &&
    pageToken.length <= maxPageTokenLength &&
    order >= 0 &&
    order <= HistoryOrder.OLDEST_FIRST
  );
}

/** Whether a filter says nothing, as that of readers of all signals. Another has many rules, and is compiled besides. */
function isEmpty(filter: SignalFilter): boolean {
  return (
    filter.$unknown === undefined &&
    filter.signalTypes.length === 0 &&
    filter.senderAgentIds.length === 0 &&
    filter.minPriority === Priority.UNSPECIFIED &&
    Object.keys(filter.metadata).length === 0 &&
    filter.afterTime === undefined &&
    filter.beforeTime === undefined &&
    filter.expression === ""
  );
}
