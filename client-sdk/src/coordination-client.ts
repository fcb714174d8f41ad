import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { AgentRegistryService } from "@coordination-signals/proto/coordination/v1/agent_registry_service";
import type { Coordination } from "@coordination-signals/proto/coordination/v1/coordination";
import { CoordinationService } from "@coordination-signals/proto/coordination/v1/coordination_service";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { StateService } from "@coordination-signals/proto/coordination/v1/state_service";
import { Caller, type CallOptions } from "./calls/caller.js";
import { type RetryOptions, retryPolicyFrom } from "./calls/retry-policy.js";
import { CoordinationObserver } from "./coordination-observer.js";
import { CoordinationSession } from "./coordination-session.js";
import { clientClosedError } from "./errors/cancelled-error.js";
import { OpenResources } from "./open-resources.js";
import { boundRule, checkNumber, endlessRule, timeoutRule } from "./options/check-number.js";
import { countFrom } from "./options/count-from.js";
import { type Page, readPages } from "./read-pages.js";
import { createPipelines } from "./sending/create-pipelines.js";
import type { SessionEnvironment } from "./session-environment.js";
import { type Clock, systemClock } from "./time/clock.js";
import type { ClientTransport } from "./transport/client-transport.js";
import { connectUnaryCalls } from "./transport/connect-unary-calls.js";

/** How a client behaves, whatever its transport. */
export interface CoordinationClientBehavior {
  /** How calls that found no server are repeated. */
  readonly retry?: RetryOptions | undefined;
  /** How long one attempt of a call may take, in milliseconds. Default 30,000. Subscriptions have no such limit. */
  readonly callTimeoutMs?: number | undefined;
  /** Sends of one session that may wait for their answers; more are refused with OverloadedError. Default 10,000. */
  readonly maxQueuedSignals?: number | undefined;
  /** Their encoded size in bytes. Default 64 MiB. */
  readonly maxQueuedBytes?: number | undefined;
  /** How long closing waits for the answers of sends, in milliseconds; then they reject with CancelledError. Default 5,000. */
  readonly closeTimeoutMs?: number | undefined;
}

/** How a client reaches its server, wherever that is. */
export interface CoordinationClientConnection {
  /** Called around every call, for example to add headers. */
  readonly interceptors?: readonly Interceptor[] | undefined;
  /** Not together with `baseUrl` or `baseUrls`. */
  readonly transport?: undefined;
}

/** A transport of the application's own. It stays open when the client is closed. */
export interface CoordinationClientInjection {
  readonly transport: Transport;
  /** Not together with `transport`. */
  readonly baseUrl?: undefined;
  /** Not together with `transport`. */
  readonly baseUrls?: undefined;
}

/** Who takes part. */
export interface CoordinationOptions<AgentId extends string | undefined> {
  /** The agent that sends and reads. Without one, the session observes: it sees everything and cannot send. */
  readonly agentId?: AgentId;
}

/** Some of a server's coordinations. */
export interface CoordinationPage extends Page {
  /** The coordinations, by name. */
  readonly coordinations: readonly Coordination[];
}

/** Which coordinations to list. */
export interface ListCoordinationsOptions extends CallOptions {
  /** How many at the most, from 1 to 1,000. Default 100. */
  readonly pageSize?: number | undefined;
  /** The `nextPageToken` of the page before. */
  readonly pageToken?: string | undefined;
}

/**
 * One connection to a coordination server, or to one of its replicas after the other, shared by all its sessions. Safe for
 * concurrent use.
 */
export class CoordinationClient implements AsyncDisposable {
  readonly #transport: ClientTransport;
  readonly #environment: SessionEnvironment;
  readonly #closed = new AbortController();
  #closing: Promise<void> | undefined;

  /** Made by `createCoordinationClient`. */
  constructor(transport: ClientTransport, behavior: CoordinationClientBehavior, clock: Clock = systemClock) {
    this.#transport = transport;
    const retry = retryPolicyFrom(behavior.retry, transport.addressCount);
    const { callTimeoutMs: timeoutMs = 30_000, closeTimeoutMs = 5_000, ...queue } = behavior;
    checkNumber("callTimeoutMs", timeoutMs, timeoutRule);
    checkNumber("closeTimeoutMs", closeTimeoutMs, endlessRule);
    checkNumber("maxQueuedSignals", queue.maxQueuedSignals, boundRule);
    checkNumber("maxQueuedBytes", queue.maxQueuedBytes, boundRule);
    const signals = createClient(SignalService, transport.transport);
    this.#environment = {
      signals,
      signalStreams: transport.signalStreams,
      registry: createClient(AgentRegistryService, transport.transport),
      coordinations: createClient(CoordinationService, transport.transport),
      state: createClient(StateService, transport.transport),
      unaryCalls: transport.unaryCalls ?? connectUnaryCalls(transport.transport),
      caller: new Caller({ retry, timeoutMs, clock, closed: this.#closed.signal }),
      retry,
      clock,
      createPipeline: createPipelines({
        client: signals,
        transport,
        clock,
        timeoutMs,
        closeTimeoutMs,
      }),
      maxQueuedSignals: queue.maxQueuedSignals ?? 10_000,
      maxQueuedBytes: queue.maxQueuedBytes ?? 64 * 1024 * 1024,
      closeTimeoutMs,
      isOpen: () => this.#closing === undefined,
      closed: this.#closed.signal,
      open: new OpenResources(),
    };
  }

  /** Takes part in a coordination as an agent. Makes no call: the coordination begins with its first signal or registration. */
  coordination(
    coordinationId: string,
    options: CoordinationOptions<string> & { readonly agentId: string },
  ): CoordinationSession;
  /** Observes a coordination. */
  coordination(coordinationId: string, options?: CoordinationOptions<undefined>): CoordinationObserver;
  coordination(coordinationId: string, options: CoordinationOptions<string | undefined> = {}): CoordinationObserver {
    this.#assertOpen();
    return options.agentId === undefined
      ? new CoordinationObserver(this.#environment, coordinationId)
      : new CoordinationSession(this.#environment, coordinationId, options.agentId);
  }

  /** Reads one page of the server's coordinations, by name. */
  async listCoordinations(options: ListCoordinationsOptions = {}): Promise<CoordinationPage> {
    const { coordinations: client, caller } = this.#environment;
    const request = { pageSize: countFrom("pageSize", options.pageSize), pageToken: options.pageToken ?? "" };
    const response = await caller.call((attempt) => client.listCoordinations(request, attempt), options);
    return { coordinations: response.coordinations, nextPageToken: response.nextPageToken || undefined };
  }

  /** Hands out the server's coordinations one by one, by name. */
  async *coordinations(
    options: Omit<ListCoordinationsOptions, "pageToken"> = {},
  ): AsyncGenerator<Coordination, void, undefined> {
    for await (const page of readPages((pageToken) => this.listCoordinations({ ...options, pageToken }))) {
      yield* page.coordinations;
    }
  }

  /**
   * Ends all subscriptions, stops heartbeats, waits for handlers that run, however long they take, and for the answers of sends, at
   * most `closeTimeoutMs`, and closes the connection. Never rejects; closing again does nothing. What is called afterwards throws
   * CancelledError. A handler must not await it: it would wait for itself.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw clientClosedError();
  }

  async #close(): Promise<void> {
    await this.#environment.open.close();
    this.#closed.abort(clientClosedError());
    this.#transport.close();
  }
}
