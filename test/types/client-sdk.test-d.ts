/** What the SDK's types allow and refuse. The compiler is the test: a line that must not compile says so. */
import * as browser from "../../client-sdk/src/browser.js";
import {
  type AcknowledgedSubscription,
  type AgentCompleted,
  CoordinationClientError,
  type CoordinationObserver,
  type CoordinationSession,
  type CoordinationSignal,
  createCoordinationClient,
  type DeliveredSignal,
  type Delivery,
  type DependencyResolved,
  type InterAgentMessage,
  isOfTypes,
  OutOfRangeError,
  type SendResult,
  SequenceGapError,
  type SignalEventCase,
  type Subscription,
  type SubscriptionStatus,
  type TypedSignal,
} from "../../client-sdk/src/index.js";

/** Compiles only when both types are the same. */
function same<A, B>(_: (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false): void {}

declare const session: CoordinationSession;
declare const observer: CoordinationObserver;
declare const anySignal: CoordinationSignal;
declare const maybeAgentId: string | undefined;

export async function oneTypeNeedsNoCheck(): Promise<void> {
  const subscription = session.subscribe({ types: ["dependencyResolved"], from: "earliest" });
  same<typeof subscription, Subscription<"dependencyResolved">>(true);
  for await (const signal of subscription) {
    const resolved: DependencyResolved = signal.event.value;
    same<typeof signal.event.case, "dependencyResolved">(true);
    const general: CoordinationSignal = signal;
    // @ts-expect-error it is not a completion
    const completed: AgentCompleted = signal.event.value;
    // @ts-expect-error a DependencyResolved has no summary
    signal.event.value.resultSummary;
    console.log(resolved.dependencyId, general.sequence + 1n, completed);
  }
}

export async function severalTypesAreToldApart(): Promise<void> {
  for await (const { event } of session.subscribe({ types: ["agentCompleted", "interAgentMessage"] })) {
    if (event.case === "agentCompleted") console.log(event.value.qualityScore);
    else console.log(event.value.messageType satisfies string);
    // @ts-expect-error neither of the two
    if (event.case === "dependencyResolved") console.log(event.value);
  }
  for await (const { event } of session.history({ types: ["interAgentMessage"] })) {
    const message: InterAgentMessage = event.value;
    console.log(message);
  }
  for await (const { signals } of session.history({ types: ["interAgentMessage"] }).pages()) {
    console.log(signals[0]?.event.value.messageType);
  }
}

export async function withoutTypesTheEventMustBeChecked(): Promise<void> {
  const subscription = session.subscribe();
  for await (const signal of subscription) {
    same<typeof signal, CoordinationSignal>(true);
    // @ts-expect-error which type it is, is not known
    console.log(signal.event.value.dependencyId);
    if (isOfTypes(signal, ["dependencyResolved"])) console.log(signal.event.value.dependencyId);
  }
  same<TypedSignal, CoordinationSignal>(true);
  same<TypedSignal<SignalEventCase>, CoordinationSignal>(true);
}

export async function acknowledgedSignalsCarryTheirDelivery(): Promise<void> {
  const named = session.subscribe({
    subscription: "validators",
    types: ["dependencyResolved"],
    ack: { deadlineMs: 5_000 },
  });
  same<typeof named, AcknowledgedSubscription<"dependencyResolved">>(true);
  for await (const signal of named) {
    const resolved: DependencyResolved = signal.event.value;
    same<typeof signal.delivery, Delivery>(true);
    console.log(resolved.dependencyId, signal.sequence + 1n, signal.delivery.attempt + 1);
    await signal.delivery.nack({ delayMs: 10, reason: "not now" });
    await signal.delivery.ack();
    // @ts-expect-error a delay is a span in milliseconds
    await signal.delivery.nack({ delay: 10 });
    // @ts-expect-error a deadline is its own
    signal.delivery.deadline = new Date();
  }
  // @ts-expect-error the server keeps its position
  console.log(named.cursor);
  for await (const signal of session.subscribe({ types: ["dependencyResolved"] })) {
    // @ts-expect-error nothing is to be acknowledged
    await signal.delivery.ack();
  }
  for await (const signal of session.history()) {
    // @ts-expect-error what is in history was not delivered
    await signal.delivery.ack();
  }
}

export function workIsTyped(): void {
  session.work({ subscription: "validators", types: ["interAgentMessage"] }, async (signal, lease) => {
    same<typeof signal, DeliveredSignal<"interAgentMessage">>(true);
    same<typeof lease, AbortSignal>(true);
    const message: InterAgentMessage = signal.event.value;
    console.log(message.payload);
  });
  observer.work(
    { subscription: "audit", maxConcurrent: 2, onError: (_, { sequence }) => console.log(sequence) },
    () => {},
  );
  // @ts-expect-error work is done for a named subscription
  session.work({ types: ["interAgentMessage"] }, () => {});
  // @ts-expect-error only a named subscription is acknowledged
  session.subscribe({ ack: { deadlineMs: 5_000 } });
  // @ts-expect-error it goes on by its name, not by a cursor
  session.subscribe({ subscription: "validators", from: { cursor: "x" } });
  // @ts-expect-error no such option
  session.subscribe({ subscription: "validators", ack: { deadline: 5 } });
  // @ts-expect-error a subscription that is made is not read
  void session.createSubscription({ subscription: "validators", idleTimeoutMs: 5 });
}

export function optionsAreChecked(): void {
  // @ts-expect-error no such type
  session.subscribe({ types: ["dependency_resolved"] });
  // @ts-expect-error no such option
  session.subscribe({ type: ["dependencyResolved"] });
  // @ts-expect-error sequences are bigint
  session.subscribe({ from: { afterSequence: 5 } });
  // @ts-expect-error no such start
  session.subscribe({ from: "oldest" });
  // @ts-expect-error no such order
  session.history({ order: "newest" });
  // @ts-expect-error a subscription has no order
  session.subscribe({ order: "newestFirst" });
  session.subscribe({ types: undefined, from: undefined, idleTimeoutMs: undefined });
}

export async function sendsAreChecked(): Promise<void> {
  const result: SendResult = await session.completed({ resultSummary: "5 models", qualityScore: 0.95 });
  same<typeof result.sequence, bigint>(true);
  same<typeof result.timestamp, Date>(true);
  // @ts-expect-error what was resolved must be named
  await session.dependencyResolved({ dependencyType: "model" });
  // @ts-expect-error the kind of message must be named
  await session.message({ message: "hello" });
  // @ts-expect-error no such priority
  await session.completed({}, { priority: "urgent" });
  // @ts-expect-error sequences are bigint
  await session.completed({}, { expectedSequence: 5 });
  // @ts-expect-error a Date is no JSON
  await session.message({ messageType: "note", payload: { at: new Date() } });
  // @ts-expect-error no such field
  await session.completed({ summary: "5 models" });
  await session.completed({ error: undefined }, { correlationId: undefined });
  await session.sendAtomic([
    { event: { case: "agentInitialized", value: { ready: true } } },
    { event: { case: "interAgentMessage", value: { messageType: "note" } }, recipients: ["a"] },
    // @ts-expect-error the value of another event
    { event: { case: "agentInitialized", value: { messageType: "note" } } },
  ]);
}

export function observersCannotSend(): void {
  const client = createCoordinationClient({ baseUrl: "http://localhost:50051" });
  same<ReturnType<typeof client.coordination>, CoordinationObserver>(true);
  const sender: CoordinationSession = client.coordination("c", { agentId: "a" });
  const reader: CoordinationObserver = client.coordination("c");
  // @ts-expect-error an observer has no agent to send as
  void reader.completed({});
  // @ts-expect-error an observer has no agent to register
  void observer.register();
  // @ts-expect-error whether it can send must be known
  const unknown: CoordinationSession = client.coordination("c", { agentId: maybeAgentId });
  console.log(sender.agentId, unknown);
}

export function connectionsAreChecked(): void {
  createCoordinationClient({
    baseUrl: "http://localhost:50051",
    protocol: "grpc-web",
    keepalive: { intervalMs: 1_000 },
  });
  createCoordinationClient({ baseUrls: ["http://localhost:50051", "http://localhost:50052"], protocol: "connect" });
  browser.createCoordinationClient({ baseUrls: ["/a", "/b"] });
  // @ts-expect-error one address or several
  createCoordinationClient({ baseUrl: "http://localhost:50051", baseUrls: ["http://localhost:50052"] });
  // @ts-expect-error neither a server nor a transport
  createCoordinationClient({});
  // @ts-expect-error no such protocol
  createCoordinationClient({ baseUrl: "http://localhost:50051", protocol: "http" });
  // @ts-expect-error browsers cannot speak gRPC
  browser.createCoordinationClient({ baseUrl: "/", protocol: "grpc" });
}

export function statusesAreToldApart(status: SubscriptionStatus): string {
  switch (status.type) {
    case "connected":
      return status.baseUrl ?? status.epoch;
    case "reconnecting":
      return status.error.reason;
    case "caughtUp":
    case "checkpoint":
      return status.cursor;
    case "idle":
      return `${status.idleMs}`;
    case "closed":
      return status.error?.name ?? "";
  }
}

export function errorsAreToldApart(error: unknown): bigint | string | undefined {
  if (error instanceof OutOfRangeError) return error.oldestSequence;
  if (error instanceof SequenceGapError) return error.expectedAfterSequence;
  // A reason is a known word or any other.
  if (error instanceof CoordinationClientError && error.reason === "SIGNAL_TOO_LARGE") return error.metadata["bytes"];
  // @ts-expect-error not an error of this package
  return error.reason;
}

export async function everythingIsDisposable(): Promise<void> {
  await using client = createCoordinationClient({ baseUrl: "http://localhost:50051" });
  await using agent = client.coordination("c", { agentId: "a" });
  await using subscription = agent.subscribe();
  console.log(subscription.cursor satisfies string | undefined, anySignal);
}
