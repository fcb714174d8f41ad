import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { AgentSchema } from "@coordination-signals/proto/coordination/v1/agent";
import { DependencySchema } from "@coordination-signals/proto/coordination/v1/coordination";
import {
  type CoordinationService,
  type ListCoordinationsRequest,
  ListCoordinationsRequestSchema,
  type WaitForRequest,
  type WaitForResponse,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import { SubscriptionSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { ExistingSession } from "../coordination/existing-session.js";
import { maxListBytes } from "../model/limits.js";
import type { SignalCoordinator } from "../signal-coordinator.js";
import { coordinationMessage } from "./coordination-message.js";
import { cutToBytes } from "./cut-to-bytes.js";
import { subscriptionMessage } from "./named-subscription.js";
import { decodePageToken, encodePageToken, listingOf } from "./page-token.js";
import { pageSizeOf } from "./request-fields.js";
import type { ServiceDependencies } from "./service-dependencies.js";
import { shownAgent, shownDependency } from "./shown-state.js";
import { timelineMessage, timelineRequestFrom } from "./timeline-message.js";
import { unreportedMessages } from "./unreported-message.js";
import { waitGraphMessage } from "./wait-graph-message.js";
import { openWaitMessages, waitRequestFrom, waitResponse } from "./wait-message.js";

const maxOverviewItems = 1_000;
const maxBytes = maxListBytes;

/** Serves `CoordinationService`. */
export function coordinationService(
  dependencies: ServiceDependencies,
): Partial<ServiceImpl<typeof CoordinationService>> {
  const { coordinator } = dependencies;
  return {
    listCoordinations: (request) => listCoordinations(coordinator, request),
    getCoordination: ({ coordinationId }) =>
      coordinator.look(coordinationId, (existing) => overviewOf(coordinator, existing)),
    async closeCoordination({ coordinationId, reason }) {
      return { coordination: coordinationMessage(await coordinator.closeCoordination(coordinationId, reason)) };
    },
    async deleteCoordination({ coordinationId }) {
      await coordinator.deleteCoordination(coordinationId);
      return {};
    },
    waitFor: (request, context) => waitFor(dependencies, request, context),
    getTimeline: async (request) =>
      timelineMessage(
        await coordinator.reports.timeline(request.coordinationId, timelineRequestFrom(request)),
        request,
      ),
    getWaitGraph: async ({ coordinationId, format }) =>
      waitGraphMessage(await coordinator.reports.waitGraph(coordinationId), format),
  };
}

async function listCoordinations(coordinator: SignalCoordinator, request: ListCoordinationsRequest) {
  const listing = listingOf(ListCoordinationsRequestSchema, request);
  const [after = ""] = decodePageToken(request.pageToken, listing, 1) ?? [];
  const pageSize = pageSizeOf(request.pageSize);
  const headers = await coordinator.listCoordinations(after, pageSize + 1);
  const page = headers.slice(0, pageSize);
  const last = page.at(-1)?.coordinationId ?? "";
  return {
    coordinations: page.map(coordinationMessage),
    nextPageToken: headers.length > pageSize ? encodePageToken(listing, [last]) : "",
  };
}

/** As every protocol but binary gRPC is served, for which see `WaitForMethod`. */
async function waitFor(
  { coordinator, expressions }: ServiceDependencies,
  request: WaitForRequest,
  { signal, timeoutMs }: HandlerContext,
): Promise<WaitForResponse> {
  return waitResponse(await coordinator.waits.waitFor(waitRequestFrom(request, expressions, timeoutMs()), signal));
}

async function overviewOf(coordinator: SignalCoordinator, { session, header }: ExistingSession) {
  const { hidden } = coordinator;
  const agents = coordinator.agents.of(session);
  const dependencies = [...session.dependencies.values()].reverse();
  const subscriptions = await coordinator.named.views(session);
  const { waits } = coordinator.reports.waitGraphOf(session);
  const unreported = coordinator.reports.unreportedIn(session);
  return {
    coordination: coordinationMessage(header),
    agents: cutToBytes(AgentSchema, agents.slice(0, maxOverviewItems), {
      messageOf: (view) => shownAgent(header.coordinationId, view, hidden),
      maxBytes,
    }),
    dependencies: cutToBytes(DependencySchema, dependencies.slice(0, maxOverviewItems), {
      messageOf: (record) => shownDependency(record, hidden),
      maxBytes,
    }),
    agentCount: BigInt(agents.length),
    dependencyCount: BigInt(dependencies.length),
    activeSubscriptions: BigInt(session.subscriptions.size),
    waits: openWaitMessages(waits),
    waitCount: BigInt(waits.length),
    deadLetterCount: BigInt(session.named.deadLetters.size),
    subscriptions: cutToBytes(SubscriptionSchema, subscriptions.slice(0, maxOverviewItems), {
      messageOf: (view) => subscriptionMessage(header.coordinationId, view),
      maxBytes,
    }),
    subscriptionCount: BigInt(subscriptions.length),
    unreportedAgents: unreportedMessages(unreported.slice(0, maxOverviewItems), agents),
    unreportedAgentCount: BigInt(unreported.length),
  };
}
