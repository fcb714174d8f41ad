import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type BatchSendSignalsRequest,
  type BatchSendSignalsResponse,
  type GetSignalHistoryRequest,
  GetSignalHistoryRequestSchema,
  type GetSignalHistoryResponse,
  HistoryOrder,
  type ReplaySignalsRequest,
  type ReplaySignalsResponse,
  type SignalService,
  type SubscribeRequest,
  type SubscribeResponse,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { CoordinationError } from "../model/coordination-error.js";
import { compileSignalFilter } from "../model/signal-filter.js";
import { acknowledgedSubscriptionsService } from "./acknowledged-subscriptions-service.js";
import { batchResponse } from "./batch-response.js";
import { beginBatch } from "./batch-sends.js";
import { historyResponse, replayResponse, subscribeResponse, wantsBinary } from "./encoded-response.js";
import { explainDelivery } from "./explain-delivery.js";
import { decodePageToken, encodePageToken, listingOf } from "./page-token.js";
import { getSignalReceipts } from "./receipts-message.js";
import { checkStretch, pageSizeOf } from "./request-fields.js";
import { requestSignal } from "./request-signal.js";
import { sendSignal } from "./send-signal.js";
import type { ServiceDependencies } from "./service-dependencies.js";
import { signalMetricsResponse } from "./signal-metrics-response.js";
import { streamSignals } from "./stream-signals.js";
import { subscriptionRequest } from "./subscription-request.js";

/** Serves `SignalService`: translates between the contract's messages and the coordinator. */
export function signalService(dependencies: ServiceDependencies): Partial<ServiceImpl<typeof SignalService>> {
  const { coordinator } = dependencies;
  return {
    sendSignal: (request, context) => sendSignal(dependencies, request, context),
    batchSendSignals: (request, context) => batchSendSignals(dependencies, request, context),
    streamSignals: (requests, context) => streamSignals(dependencies, requests, context),
    subscribe: (request, context) => subscribe(dependencies, request, context),
    getSignalHistory: (request, context) => getSignalHistory(dependencies, request, context),
    replaySignals: (request, context) => replaySignals(dependencies, request, context),
    requestSignal: (request, context) => requestSignal(dependencies, request, context),
    ...acknowledgedSubscriptionsService(dependencies),
    getSignalReceipts: (request) => getSignalReceipts(dependencies, request),
    explainDelivery: (request) => explainDelivery(dependencies, request),
    getSignalMetrics: (request) => coordinator.look(request.coordinationId, signalMetricsResponse),
  };
}

async function batchSendSignals(
  dependencies: ServiceDependencies,
  request: BatchSendSignalsRequest,
  context: HandlerContext,
): Promise<BatchSendSignalsResponse> {
  const { outcomes } = await beginBatch(dependencies, request);
  return batchResponse(await outcomes, wantsBinary(context));
}

/** As every protocol but binary gRPC is served, for which see `SubscribeMethod`. */
async function* subscribe(
  dependencies: ServiceDependencies,
  request: SubscribeRequest,
  context: HandlerContext,
): AsyncGenerator<SubscribeResponse> {
  const { signal } = context;
  const binary = wantsBinary(context);
  const items = dependencies.coordinator.subscribe(subscriptionRequest(dependencies, request), signal);
  for await (const item of items) yield subscribeResponse(item, binary);
  // The reader's deadline passed, or it left: the reason says which.
  signal.throwIfAborted();
}

async function getSignalHistory(
  { coordinator, expressions }: ServiceDependencies,
  request: GetSignalHistoryRequest,
  context: HandlerContext,
): Promise<GetSignalHistoryResponse> {
  const filter = compileSignalFilter(request.filter, expressions);
  const listing = listingOf(GetSignalHistoryRequestSchema, request);
  const place = decodePageToken(request.pageToken, listing, 2);
  const order = request.order === HistoryOrder.OLDEST_FIRST ? "oldestFirst" : "newestFirst";
  const page = await coordinator.readHistory(request.coordinationId, (header) => {
    if (place !== undefined && place[0] !== header.epoch) {
      throw new CoordinationError("INVALID_PAGE_TOKEN", "page_token is of a log that no longer exists: start again");
    }
    const firstFrom = order === "oldestFirst" ? header.oldestSequence - 1n : header.headSequence + 1n;
    const fromSequence = place === undefined ? firstFrom : sequenceFromToken(place[1] ?? "");
    return { order, fromSequence, filter, maxSignals: pageSizeOf(request.pageSize) };
  });
  const next = page.nextFromSequence;
  const nextPageToken = next === undefined ? "" : encodePageToken(listing, [page.header.epoch, String(next)]);
  return historyResponse(page.entries, nextPageToken, wantsBinary(context));
}

async function* replaySignals(
  { coordinator, expressions, compileTransform }: ServiceDependencies,
  request: ReplaySignalsRequest,
  context: HandlerContext,
): AsyncGenerator<ReplaySignalsResponse> {
  checkStretch(request);
  const binary = wantsBinary(context);
  const batches = coordinator.replay(
    {
      coordinationId: request.coordinationId,
      afterSequence: request.afterSequence,
      untilSequence: request.untilSequence,
      filter: compileSignalFilter(request.filter, expressions),
      transform: compileTransform(request.transform),
      speed: request.speed,
    },
    context.signal,
  );
  for await (const batch of batches) yield replayResponse(batch, binary);
  context.signal.throwIfAborted();
}

/** Nothing signs a token: what stands in it is checked before the store is asked for it. */
function sequenceFromToken(text: string): bigint {
  if (/^\d{1,19}$/.test(text)) return BigInt(text);
  throw new CoordinationError("INVALID_PAGE_TOKEN", "page_token is not one that this server made");
}
