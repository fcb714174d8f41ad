import type { Client } from "@connectrpc/connect";
import type {
  Subscription as DurableSubscription,
  SignalService,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { Caller, CallOptions } from "../calls/caller.js";
import { remove } from "../calls/remove.js";
import { InternalError } from "../errors/coordination-client-error.js";
import { countFrom } from "../options/count-from.js";
import type { Page } from "../read-pages.js";
import { createSubscriptionRequest, type DurableSubscriptionOptions } from "./durable-subscription-options.js";

export type { DurableSubscription };

/** What durable subscriptions are managed with. */
export interface DurableSubscriptionsEnvironment {
  readonly client: Client<typeof SignalService>;
  readonly caller: Caller;
  readonly coordinationId: string;
  readonly agentId: string | undefined;
}

/** Which page of a list to read. */
export interface ListPageOptions extends CallOptions {
  /** How many at the most, from 1 to 1,000. Default 100. Pages are also cut at 1 MiB. */
  readonly pageSize?: number | undefined;
  /** The `nextPageToken` of the page before. */
  readonly pageToken?: string | undefined;
}

/** Some of a coordination's durable subscriptions. */
export interface DurableSubscriptionPage extends Page {
  /** The subscriptions, by name. */
  readonly subscriptions: readonly DurableSubscription[];
}

/** Makes a durable subscription, or finds it as it is. */
export async function createSubscription(
  environment: DurableSubscriptionsEnvironment,
  { signal, timeoutMs, ...options }: DurableSubscriptionOptions & CallOptions,
): Promise<DurableSubscription> {
  const { client, caller } = environment;
  const request = createSubscriptionRequest(environment, options);
  const { subscription } = await caller.call((attempt) => client.createSubscription(request, attempt), {
    signal,
    timeoutMs,
  });
  if (subscription !== undefined) return subscription;
  const message = "the answer has no subscription";
  throw new InternalError({ message, reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
}

/** Reads a page of durable subscriptions. */
export async function listSubscriptions(
  { client, caller, coordinationId }: DurableSubscriptionsEnvironment,
  options: ListPageOptions,
): Promise<DurableSubscriptionPage> {
  const { pageSize, pageToken = "" } = options;
  const request = { coordinationId, pageSize: countFrom("pageSize", pageSize), pageToken };
  const response = await caller.call((attempt) => client.listSubscriptions(request, attempt), options);
  return { subscriptions: response.subscriptions, nextPageToken: response.nextPageToken || undefined };
}

/** Removes a durable subscription. */
export async function deleteSubscription(
  { client, caller, coordinationId }: DurableSubscriptionsEnvironment,
  subscription: string,
  options: CallOptions,
): Promise<void> {
  await remove(caller, (attempt) => client.deleteSubscription({ coordinationId, subscription }, attempt), options);
}
