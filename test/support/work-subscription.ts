import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  AckAction,
  AckMode,
  type Acknowledgement,
  type AcknowledgementResult,
  type AcknowledgementSchema,
  type AckPolicySchema,
} from "@coordination-signals/proto/coordination/v1/acknowledgement";
import type { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import {
  StartPosition,
  type SubscribeRequest,
  type SubscribeRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { refusalFromStatus } from "./refusal.js";
import type { TestClient } from "./test-client.js";
import { openSubscription, type TestSubscription } from "./test-subscription.js";

/** The coordination and the subscription that tests of acknowledgement use unless they say otherwise. */
export const coordinationId = "c";
export const subscription = "work";

/** A signal that was delivered, with what is to be acknowledged. */
export interface DeliveredSignal {
  readonly sequence: bigint;
  readonly message: string;
  readonly deliveryId: string;
  readonly attempt: number;
  readonly deadlineMs: number;
}

/** What a test says of a policy; times in milliseconds. */
export interface PolicyParts {
  readonly deadlineMs?: number;
  readonly attempts?: number;
  readonly minBackoffMs?: number;
  readonly maxBackoffMs?: number;
  readonly maxOutstanding?: number;
}

/** An acknowledgement policy in which what a test does not say is the server's default. */
export function policyOf(parts: PolicyParts = {}): MessageInitShape<typeof AckPolicySchema> {
  const { deadlineMs, attempts = 0, minBackoffMs, maxBackoffMs, maxOutstanding = 0 } = parts;
  return {
    mode: AckMode.EXPLICIT,
    maxDeliveryAttempts: attempts,
    maxOutstanding,
    ...(deadlineMs !== undefined && { ackDeadline: durationFromMs(deadlineMs) }),
    ...(minBackoffMs !== undefined && { minBackoff: durationFromMs(minBackoffMs) }),
    ...(maxBackoffMs !== undefined && { maxBackoff: durationFromMs(maxBackoffMs) }),
  };
}

type SubscribeInit = Exclude<MessageInitShape<typeof SubscribeRequestSchema>, SubscribeRequest>;

/** Joins the subscription as one more consumer, from the earliest unless it says otherwise. */
export function openConsumer(
  { signals }: TestClient,
  policy: PolicyParts = {},
  parts: SubscribeInit = {},
): TestSubscription {
  return openSubscription(signals, {
    coordinationId,
    subscription,
    ackPolicy: policyOf(policy),
    start: { case: "position", value: StartPosition.EARLIEST },
    ...parts,
  });
}

/** Everything that a consumer has read, with what to acknowledge. */
export function deliveredTo(consumer: TestSubscription): readonly DeliveredSignal[] {
  return consumer.items.flatMap((item) => {
    if (item.case !== "batch") return [];
    const { signals, deliveries } = item.value;
    if (signals.length !== deliveries.length) throw new Error(`${deliveries.length} deliveries of ${signals.length}`);
    return signals.map(({ sequence, event }, index) => ({
      sequence,
      message: event.case === "interAgentMessage" ? event.value.message : "",
      deliveryId: deliveries[index]?.deliveryId ?? "",
      attempt: deliveries[index]?.attempt ?? 0,
      deadlineMs: Number(deliveries[index]?.deadline?.seconds ?? 0) * 1_000,
    }));
  });
}

/** Reads until a consumer has had so many deliveries in all; answers the last one. */
export async function untilDelivered(consumer: TestSubscription, count: number): Promise<DeliveredSignal> {
  await consumer.untilSignals(count);
  const delivered = deliveredTo(consumer)[count - 1];
  if (delivered === undefined) throw new Error(`there is no delivery ${count}`);
  return delivered;
}

/** Sends messages, one signal each. */
export async function sendMessages(
  { signals }: TestClient,
  messages: readonly string[],
  parts: { readonly coordinationId?: string; readonly priority?: Priority } = {},
): Promise<void> {
  await signals.batchSendSignals({
    atomic: true,
    requests: messages.map((message) => ({
      coordinationId,
      senderAgentId: "sender",
      event: { case: "interAgentMessage", value: { message } },
      ...parts,
    })),
  });
}

type AcknowledgementInit = Exclude<MessageInitShape<typeof AcknowledgementSchema>, Acknowledgement>;

/** Acknowledges, and answers what became of each: "taken", "dead", or the reason of its refusal. */
export async function acknowledge(
  { signals }: TestClient,
  ...acknowledgements: readonly AcknowledgementInit[]
): Promise<readonly string[]> {
  const { results } = await signals.acknowledgeSignals({
    coordinationId,
    subscription,
    acknowledgements: [...acknowledgements],
  });
  return results.map(outcomeOf);
}

/** What became of one acknowledgement, in a word. */
function outcomeOf({ error, deadLettered }: AcknowledgementResult): string {
  if (error !== undefined) return refusalFromStatus(error).reason ?? "unknown";
  return deadLettered ? "dead" : "taken";
}

export const ack = (delivered: DeliveredSignal): AcknowledgementInit => ({ deliveryId: delivered.deliveryId });

export const nack = (delivered: DeliveredSignal, delayMs?: number, reason = ""): AcknowledgementInit => ({
  deliveryId: delivered.deliveryId,
  action: AckAction.NACK,
  reason,
  ...(delayMs !== undefined && { delay: durationFromMs(delayMs) }),
});

export const reject = (delivered: DeliveredSignal, reason = ""): AcknowledgementInit => ({
  deliveryId: delivered.deliveryId,
  action: AckAction.REJECT,
  reason,
});

export const extend = (delivered: DeliveredSignal, delayMs?: number): AcknowledgementInit => ({
  deliveryId: delivered.deliveryId,
  action: AckAction.EXTEND,
  ...(delayMs !== undefined && { delay: durationFromMs(delayMs) }),
});

/** The dead letters of the coordination. */
export function deadLetters({ signals }: TestClient) {
  return signals.listDeadLetters({ coordinationId });
}

/** How the coordination's first subscription stands. */
export async function standingOf({ signals }: TestClient) {
  const { subscriptions } = await signals.listSubscriptions({ coordinationId });
  const [found] = subscriptions;
  if (found === undefined) throw new Error("there is no subscription");
  return found;
}
