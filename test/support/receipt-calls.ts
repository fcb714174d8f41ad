/** What tests of receipts and of explained deliveries ask, and what they look at of the answers. */
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { DeliveryVerdict } from "@coordination-signals/proto/coordination/v1/receipt";
import {
  type GetSignalReceiptsResponse,
  StartPosition,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { expect } from "@jest/globals";
import type { TestClient } from "./test-client.js";
import { openSubscription } from "./test-subscription.js";
import { type ack, openConsumer, type PolicyParts } from "./work-subscription.js";

export const register = (client: TestClient, coordinationId: string, ...agentIds: readonly string[]) =>
  Promise.all(agentIds.map((agentId) => client.agents.registerAgent({ coordinationId, agentId })));

/** Reads as an agent from a position, until the test is over. */
export function read(client: TestClient, coordinationId: string, agentId: string, rest: object = {}) {
  const start = { case: "position", value: StartPosition.EARLIEST } as const;
  return openSubscription(client.signals, { coordinationId, agentId, start, ...rest });
}

export const receiptsOf = (client: TestClient, coordinationId: string, sequence: bigint, rest: object = {}) =>
  client.signals.getSignalReceipts({ coordinationId, signal: { case: "sequence", value: sequence }, ...rest });

/** Who got it and who replied, in short. */
export function summary({ receipts }: GetSignalReceiptsResponse): string[] {
  return receipts.map(({ agentId, deliveredTime, replySequence }) => {
    return `${agentId} ${deliveredTime === undefined ? "-" : "delivered"} ${replySequence}`;
  });
}

export const explain = (client: TestClient, coordinationId: string, sequence: bigint, agentId: string) =>
  client.signals.explainDelivery({ coordinationId, sequence, reader: { case: "agentId", value: agentId } });

export const verdictOf = async (...args: Parameters<typeof explain>) => {
  const { verdict, subscriptions } = await explain(...args);
  return [DeliveryVerdict[verdict], ...subscriptions.slice(0, 1).map(({ filterPart }) => filterPart)].join(" ").trim();
};

/** Consumes as an agent through a named subscription, until the test is over. */
export async function work(client: TestClient, coordinationId: string, agentId: string, parts: WorkParts = {}) {
  const { policy, name: subscription = agentId, ...rest } = parts;
  const consumer = openConsumer(client, policy, { coordinationId, agentId, subscription, ...rest });
  await consumer.until("subscribed");
  return consumer;
}

export interface WorkParts {
  readonly policy?: PolicyParts;
  readonly name?: string;
  readonly filter?: object;
  readonly start?: { readonly case: "afterSequence"; readonly value: bigint };
}

export async function settleAs(
  { signals }: TestClient,
  coordinationId: string,
  subscription: string,
  ...acknowledgements: readonly ReturnType<typeof ack>[]
): Promise<void> {
  const request = { coordinationId, subscription, acknowledgements: [...acknowledgements] };
  const { results } = await signals.acknowledgeSignals(request);
  expect(results.flatMap(({ error }) => error ?? [])).toEqual([]);
}

export const explainNamed = (client: TestClient, coordinationId: string, sequence: bigint, subscription: string) =>
  client.signals.explainDelivery({ coordinationId, sequence, reader: { case: "subscription", value: subscription } });

/** Who got it and who acknowledged it, in short. */
export function acknowledgedSummary({ receipts }: GetSignalReceiptsResponse): string[] {
  return receipts.map(({ agentId, deliveredTime, acknowledgedTime }) => {
    const words = [deliveredTime && "delivered", acknowledgedTime && "acknowledged"].filter(Boolean);
    return [agentId, ...words].join(" ");
  });
}

export const timeOf = (time: Timestamp | undefined): number => (time === undefined ? Number.NaN : timestampMs(time));
