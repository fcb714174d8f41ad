import type { Client } from "@connectrpc/connect";
import type { AgentRegistryService } from "@coordination-signals/proto/coordination/v1/agent_registry_service";
import type { CoordinationService } from "@coordination-signals/proto/coordination/v1/coordination_service";
import type { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { StateService } from "@coordination-signals/proto/coordination/v1/state_service";
import type { Caller } from "./calls/caller.js";
import type { RetryPolicy } from "./calls/retry-policy.js";
import type { OpenResources } from "./open-resources.js";
import type { SendPipeline } from "./sending/send-pipeline.js";
import type { Clock } from "./time/clock.js";
import type { SignalStreams } from "./transport/signal-streams.js";
import type { UnaryCalls } from "./transport/unary-calls.js";

/** What a client gives its sessions. */
export interface SessionEnvironment {
  readonly signals: Client<typeof SignalService>;
  /** The streams of signals where the transport has them as bytes. */
  readonly signalStreams: SignalStreams | undefined;
  readonly registry: Client<typeof AgentRegistryService>;
  readonly coordinations: Client<typeof CoordinationService>;
  readonly state: Client<typeof StateService>;
  readonly caller: Caller;
  readonly unaryCalls: UnaryCalls;
  readonly retry: RetryPolicy;
  readonly clock: Clock;
  /** `open` knows the pipeline for as long as it holds something. */
  readonly createPipeline: (open: OpenResources) => SendPipeline;
  readonly maxQueuedSignals: number;
  readonly maxQueuedBytes: number;
  readonly closeTimeoutMs: number;
  /** False once the client is being closed: what began then would never be released. */
  readonly isOpen: () => boolean;
  /** Aborted when the client is closed. */
  readonly closed: AbortSignal;
  /** What is open in the client. */
  readonly open: OpenResources;
}
