import type { AckOptions } from "../acknowledgement/ack-policy.js";
import type { Delivery } from "../acknowledgement/delivery.js";
import type { DurableSubscriptionOptions } from "../acknowledgement/durable-subscription-options.js";
import { reasonFrom } from "../acknowledgement/nack-reason.js";
import type { OpenResource, OpenResources } from "../open-resources.js";
import type { InterAgentMessageInit, SignalOptions } from "../sending/outgoing-signal.js";
import type { SendResult } from "../sending/send-result.js";
import type { TypedSignal } from "../signals/typed-signal.js";
import type { Subscription } from "../subscription/subscription.js";

/** A request that came. */
export type IncomingRequest = TypedSignal<"interAgentMessage">;

/** What answers a request: a message, or nothing when somebody else is to reply. */
export type RequestHandler = (
  request: IncomingRequest,
) => InterAgentMessageInit | undefined | Promise<InterAgentMessageInit | undefined>;

/** How requests are answered. */
export interface OnRequestOptions {
  /** Answers only requests of these message types. Default: all. */
  readonly messageTypes?: readonly string[] | undefined;
  /**
   * Where to begin to listen. Default "latest". What was asked before, and has a reply of this agent already, is handled again, but
   * the first reply stands: the handler's must then be the same.
   */
  readonly from?: DurableSubscriptionOptions["from"];
  /**
   * A durable subscription's name: what is asked while nobody listens is kept for the next who does under this name, and a request
   * is heard again until it is answered. Listeners of one name share the requests. Default: none.
   */
  readonly subscription?: string | undefined;
  /** How the named subscription acknowledges and repeats. Only with `subscription`. */
  readonly ack?: AckOptions | undefined;
  /** Requests that are handled at the same time; more wait. From 1. Default 16. */
  readonly maxConcurrent?: number | undefined;
  /** Ends listening as `close()` does. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called when the handler throws or its reply cannot be sent, after which the listener goes on; and without a request when it
   * can hear no more. Default: the listener ends, and `finished` rejects: handle that, or the process ends.
   */
  readonly onError?: ((error: unknown, request?: IncomingRequest) => void) | undefined;
}

/** Where requests come from; with a delivery where they have to be acknowledged. */
type RequestSource = Pick<Subscription, "ready" | "close"> &
  AsyncIterable<IncomingRequest & { readonly delivery?: Delivery }>;

/** What a listener works with. */
export interface RequestListenerEnvironment {
  readonly subscription: RequestSource;
  readonly send: (event: InterAgentMessageInit, options: SignalOptions) => Promise<SendResult>;
  readonly open: OpenResources;
}

const defaultMaxConcurrent = 16;

/**
 * Answers requests until it is closed. One that comes twice, after a restart, is answered once: a reply's requestId is made of
 * its request's signalId.
 */
export class RequestListener implements AsyncDisposable, OpenResource {
  readonly #environment: RequestListenerEnvironment;
  readonly #handler: RequestHandler;
  readonly #options: OnRequestOptions;
  readonly #running = new Set<Promise<void>>();
  readonly #finished: Promise<void>;
  #failure: { readonly error: unknown } | undefined;

  /** Made by `session.onRequest()`. */
  constructor(environment: RequestListenerEnvironment, handler: RequestHandler, options: OnRequestOptions) {
    this.#environment = environment;
    this.#handler = handler;
    this.#options = options;
    environment.open.add(this);
    this.#finished = this.#listen();
    const { onError } = options;
    if (onError !== undefined) this.#finished.catch((error: unknown) => onError(error));
  }

  /** Resolves once it listens: requests that are sent from then on are heard. Rejects when it ends before. */
  ready(): Promise<void> {
    return this.#environment.subscription.ready();
  }

  /** Resolves when it was closed or the coordination has ended, and what it was at is done. Rejects with what ended it otherwise. */
  get finished(): Promise<void> {
    return this.#finished;
  }

  /** Hears no more requests, and waits for the handlers that run. Never rejects. */
  async close(): Promise<void> {
    await this.#environment.subscription.close();
    await this.#finished.catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #listen(): Promise<void> {
    const { subscription, open } = this.#environment;
    const { maxConcurrent = defaultMaxConcurrent } = this.#options;
    try {
      for await (const request of subscription) {
        if (!this.#isWanted(request)) continue;
        this.#start(request);
        while (this.#running.size >= maxConcurrent) await Promise.race(this.#running);
      }
    } finally {
      await Promise.all(this.#running);
      open.remove(this);
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #isWanted({ event }: IncomingRequest): boolean {
    const { messageTypes } = this.#options;
    return event.value.requiresResponse && (messageTypes?.includes(event.value.messageType) ?? true);
  }

  #start(request: IncomingRequest & { readonly delivery?: Delivery }): void {
    const running = this.#handle(request).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Never rejects: what fails goes to `onError`, or ends the listener. */
  async #handle(request: IncomingRequest & { readonly delivery?: Delivery }): Promise<void> {
    const { delivery } = request;
    try {
      await this.#answer(request);
      await delivery?.ack();
    } catch (error) {
      // What cannot even be refused is delivered again all the same; the first failure is the one to tell.
      if (delivery?.isSettled === false) await delivery.nack({ reason: reasonFrom(error) }).catch(() => undefined);
      await this.#fail(error, request);
    }
  }

  async #answer(request: IncomingRequest): Promise<void> {
    const reply = await this.#handler(request);
    if (reply === undefined) return;
    const { signalId, senderAgentId } = request;
    await this.#environment.send(reply, {
      recipients: [senderAgentId],
      correlationId: signalId,
      requestId: `reply to ${signalId}`,
    });
  }

  async #fail(error: unknown, request: IncomingRequest): Promise<void> {
    try {
      if (this.#options.onError === undefined) throw error;
      this.#options.onError(error, request);
    } catch (thrown) {
      this.#failure ??= { error: thrown };
      await this.#environment.subscription.close();
    }
  }
}

/** Picks requests, of these types when there are any: what a named subscription has it delivers, and it has to be handled. */
export function requestExpression(messageTypes: readonly string[] | undefined): string {
  const isRequest = "signal.inter_agent_message.requires_response";
  if (messageTypes === undefined) return isRequest;
  return `${isRequest} && signal.inter_agent_message.message_type in ${JSON.stringify(messageTypes)}`;
}
