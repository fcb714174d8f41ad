import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type SignalReceipt, SignalReceiptSchema } from "@coordination-signals/proto/coordination/v1/receipt";
import {
  type GetSignalReceiptsRequest,
  GetSignalReceiptsRequestSchema,
  type GetSignalReceiptsResponse,
  GetSignalReceiptsResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { Receipt } from "../delivery/receipts.js";
import { CoordinationError } from "../model/coordination-error.js";
import { decodePageToken, encodePageToken, listingOf } from "./page-token.js";
import { pageSizeOf } from "./request-fields.js";
import type { ServiceDependencies } from "./service-dependencies.js";

/** Answers what became of a signal at its recipients. */
export async function getSignalReceipts(
  { coordinator }: ServiceDependencies,
  request: GetSignalReceiptsRequest,
): Promise<GetSignalReceiptsResponse> {
  const listing = listingOf(GetSignalReceiptsRequestSchema, request);
  const [after = ""] = decodePageToken(request.pageToken, listing, 1) ?? [];
  const { entry, receipts, throughSequence } = await coordinator.reports.receipts(
    request.coordinationId,
    nameOf(request),
  );
  const rest = receipts.filter(({ agentId }) => agentId > after);
  const page = rest.slice(0, pageSizeOf(request.pageSize));
  const { signalId, timestamp } = entry.signal;
  return create(GetSignalReceiptsResponseSchema, {
    signalId,
    sequence: entry.sequence,
    receipts: page.map((receipt) => receiptMessage(receipt, timestamp)),
    nextPageToken: rest.length > page.length ? encodePageToken(listing, [page.at(-1)?.agentId ?? ""]) : "",
    receiptCount: BigInt(receipts.length),
    deliveredCount: BigInt(receipts.filter(({ deliveredMs }) => deliveredMs !== undefined).length),
    acknowledgedCount: BigInt(receipts.filter(({ acknowledgedMs }) => acknowledgedMs !== undefined).length),
    repliedCount: BigInt(receipts.filter(({ reply }) => reply !== undefined).length),
    throughSequence,
    ...(timestamp !== undefined && { acceptedTime: timestamp }),
  });
}

/** How a request names its signal. */
function nameOf({ signal }: GetSignalReceiptsRequest): bigint | string {
  if (signal.case !== undefined) return signal.value;
  throw new CoordinationError("INVALID_REQUEST", "neither sequence nor signal_id is set");
}

function receiptMessage(
  { agentId, deliveredMs, acknowledgedMs, reply }: Receipt,
  acceptedTime: SignalReceipt["acceptedTime"],
): SignalReceipt {
  return create(SignalReceiptSchema, {
    agentId,
    ...(acceptedTime !== undefined && { acceptedTime }),
    ...(deliveredMs !== undefined && { deliveredTime: timestampFromMs(deliveredMs) }),
    ...(acknowledgedMs !== undefined && { acknowledgedTime: timestampFromMs(acknowledgedMs) }),
    ...(reply !== undefined && { repliedTime: timestampFromMs(reply.timeMs), replySequence: reply.sequence }),
  });
}
