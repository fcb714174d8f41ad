/** What both entries of the package export. Everything else is internal. */

export type { JsonObject, JsonValue } from "@bufbuild/protobuf";
export { type DeadLetter, DeadLetterReason } from "@coordination-signals/proto/coordination/v1/acknowledgement";
export { type Agent, AgentState, type Provision } from "@coordination-signals/proto/coordination/v1/agent";
export {
  type Coordination,
  CoordinationState,
  type Dependency,
} from "@coordination-signals/proto/coordination/v1/coordination";
export {
  type GetCoordinationResponse,
  type GetTimelineResponse,
  type GetWaitGraphResponse,
  type UnreportedAgent,
  UnreportedKind,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
export { DeliveryVerdict, type SubscriptionVerdict } from "@coordination-signals/proto/coordination/v1/receipt";
export {
  type AgentCompleted,
  type AgentInitialized,
  type CoordinationSignal,
  type DependencyResolved,
  type InterAgentMessage,
  Priority,
} from "@coordination-signals/proto/coordination/v1/signal";
export type {
  AgentReceivedCount,
  ExplainDeliveryResponse,
  GetSignalMetricsResponse,
  SubscriptionLag,
} from "@coordination-signals/proto/coordination/v1/signal_service";
export {
  type Snapshot,
  type StateChange,
  StateChangeKind,
} from "@coordination-signals/proto/coordination/v1/state_service";
export {
  CriticalLink,
  type CriticalStep,
  type IdleGap,
  type TimelineCondition,
  type TimelineEdge,
  type TimelineLane,
  type TimelineSignal,
  type TimelineWait,
  WaitOutcome,
} from "@coordination-signals/proto/coordination/v1/timeline";
export type { OpenWait, PendingCondition, WaitEdge, WaitLoop } from "@coordination-signals/proto/coordination/v1/wait";
export type { AckOptions } from "./acknowledgement/ack-policy.js";
export { AcknowledgedSubscription } from "./acknowledgement/acknowledged-subscription.js";
export type { DeadLetterPage, ListDeadLettersOptions, RedriveOptions } from "./acknowledgement/dead-letters.js";
export { type DeliveredSignal, Delivery, type NackOptions, type NackResult } from "./acknowledgement/delivery.js";
export type {
  AcknowledgedSubscribeOptions,
  DurableSubscriptionOptions,
} from "./acknowledgement/durable-subscription-options.js";
export type {
  DurableSubscription,
  DurableSubscriptionPage,
  ListPageOptions,
} from "./acknowledgement/durable-subscriptions.js";
export { Worker, type WorkHandler, type WorkOptions } from "./acknowledgement/worker.js";
export type { CallOptions } from "./calls/caller.js";
export type { RetryOptions } from "./calls/retry-policy.js";
export {
  CoordinationClient,
  type CoordinationClientBehavior,
  type CoordinationClientConnection,
  type CoordinationClientInjection,
  type CoordinationOptions,
  type CoordinationPage,
  type ListCoordinationsOptions,
} from "./coordination-client.js";
export { CoordinationObserver } from "./coordination-observer.js";
export {
  type AbortOptions,
  CoordinationSession,
  type SendOptions,
  type SendSignalOptions,
} from "./coordination-session.js";
export {
  AccessDeniedError,
  AckExpiredError,
  CancelledError,
  type ClientErrorReason,
  ConflictError,
  CoordinationClientError,
  type CoordinationClientErrorFields,
  DeadlockError,
  DependencyFailedError,
  type ErrorReason,
  type FieldViolation,
  InternalError,
  InvalidRequestError,
  NotDeliveredError,
  NotFoundError,
  OutOfRangeError,
  OverloadedError,
  PreconditionError,
  SequenceGapError,
  type ServerErrorReason,
  type StatusCode,
  TimeoutError,
  UnavailableError,
} from "./errors/coordination-client-error.js";
export { type HistoryOptions, type HistoryPage, SignalHistory } from "./history/signal-history.js";
export type { SignalName, SignalReceipt, SignalReceipts } from "./receipts/read-receipts.js";
export type {
  AgentStateName,
  ListAgentsOptions,
  ProvisionInit,
  RegisterOptions,
} from "./registry/agent-registration.js";
export type { HeartbeatStatus } from "./registry/heartbeat-timer.js";
export type { ReplayOptions } from "./replay/replay-signals.js";
export {
  type IncomingRequest,
  type OnRequestOptions,
  type RequestHandler,
  RequestListener,
} from "./requests/request-listener.js";
export type { RequestInit, RequestOptions, RequestResult } from "./requests/request-signal.js";
export type { RequireAckOptions } from "./sending/acknowledged-send.js";
export type {
  AgentCompletedInit,
  AgentInitializedInit,
  DependencyResolvedInit,
  InterAgentMessageInit,
  OutgoingSignal,
  SignalEventInit,
  SignalOptions,
} from "./sending/outgoing-signal.js";
export type { SendResult } from "./sending/send-result.js";
export type { SignalFilterOptions } from "./signals/signal-filter.js";
export type { SignalPriority } from "./signals/signal-priority.js";
export type { FieldTransformOptions, SignalTransformOptions } from "./signals/signal-transform.js";
export { isOfTypes, type SignalEvent, type SignalEventCase, type TypedSignal } from "./signals/typed-signal.js";
export {
  CoordinationStateHistory,
  type RollbackOptions,
  type RollbackResult,
  type SnapshotOptions,
  type StatePageOptions,
} from "./state/coordination-state-history.js";
export type { SubscribeOptions } from "./subscription/subscribe-options.js";
export { Subscription } from "./subscription/subscription.js";
export type { DeliveryOrder, SubscriptionStart } from "./subscription/subscription-start.js";
export type { SubscriptionStatus } from "./subscription/subscription-status.js";
export type { TimelineOptions } from "./timeline/read-timeline.js";
export type { CoordinationClientAddress } from "./transport/base-urls.js";
export type { Protocol } from "./transport/client-transport.js";
export type {
  AgentWait,
  DependencyWait,
  SignalWait,
  WaitConditionInit,
  WaitModeInit,
} from "./waits/wait-conditions.js";
export type { WaitForOptions, WaitResult } from "./waits/wait-for.js";
export type { WaitGraphOptions } from "./waits/wait-graph.js";
