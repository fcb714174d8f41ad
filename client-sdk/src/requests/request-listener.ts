import type { AckOptions } from "../acknowledgement/ack-policy.js";
import type { Delivery } from "../acknowledgement/delivery.js";
import type { DurableSubscriptionOptions } from "../acknowledgement/durable-subscription-options.js";
import { reasonFrom } from "../acknowledgement/nack-reason.js";
import { InvalidRequestError } from "../errors/coordination-client-error.js";
import type { OpenResource, OpenResources } from "../open-resources.js";
import type { InterAgentMessageInit, SignalOptions } from "../sending/outgoing-signal.js";
import type { SendResult } from "../sending/send-result.js";
import type { TypedSignal } from "../signals/typed-signal.js";
import { SignalHandlers } from "../subscription/signal-handlers.js";
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
   * the first reply stands, whatever the handler returns then.
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
   *
   * Also called when the acknowledgement of a request that is answered is not taken: it is heard again, and the reply stands. That
   * ends no listener, unless this function throws.
   */
  readonly onError?: ((error: unknown, request?: IncomingRequest) => void) | undefined;
}

/** A request, with a delivery where it has to be acknowledged. */
type HeardRequest = IncomingRequest & { readonly delivery?: Delivery };

/** Where requests come from. */
type RequestSource = Pick<Subscription, "ready" | "close"> & AsyncIterable<HeardRequest>;

/** What a listener works with. */
export interface RequestListenerEnvironment {
  readonly subscription: RequestSource;
  /** Sends a reply, also while the session is being closed. */
  readonly send: (event: InterAgentMessageInit, options: SignalOptions) => Promise<SendResult>;
  readonly open: OpenResources;
}

/**
 * Answers requests until it is closed. One that comes twice, after a restart, is answered once: a reply's requestId is made of
 * its request's signalId.
 */
export class RequestListener implements AsyncDisposable, OpenResource {
  readonly #environment: RequestListenerEnvironment;
  readonly #handler: RequestHandler;
  readonly #options: OnRequestOptions;
  readonly #handlers: SignalHandlers<HeardRequest>;

  /** Made by `session.onRequest()`. */
  constructor(environment: RequestListenerEnvironment, handler: RequestHandler, options: OnRequestOptions) {
    const { subscription: source, open } = environment;
    const { maxConcurrent, signal, onError } = options;
    this.#environment = environment;
    this.#handler = handler;
    this.#options = options;
    const handle = (request: HeardRequest) => this.#handle(request);
    this.#handlers = new SignalHandlers({ source, handle, maxConcurrent, signal, open });
    if (onError !== undefined) this.#handlers.finished.catch((error: unknown) => onError(error));
  }

  /** Resolves once it listens: requests that are sent from then on are heard. Rejects when it ends before. */
  ready(): Promise<void> {
    return this.#environment.subscription.ready();
  }

  /** Resolves when it was closed or the coordination has ended, and what it was at is done. Rejects with what ended it otherwise. */
  get finished(): Promise<void> {
    return this.#handlers.finished;
  }

  /**
   * Hears no more requests, and waits for the handlers that run, however long they take, and for their replies. A handler can call it
   * and must not await it: it would wait for itself. Never rejects.
   */
  async close(): Promise<void> {
    await this.#handlers.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #isWanted({ event }: IncomingRequest): boolean {
    const { messageTypes } = this.#options;
    return event.value.requiresResponse && (messageTypes?.includes(event.value.messageType) ?? true);
  }

  /** Never rejects: what fails goes to `onError`, or ends the listener. */
  async #handle(request: HeardRequest): Promise<void> {
    if (!this.#isWanted(request)) return;
    const { delivery } = request;
    try {
      await this.#answer(request);
    } catch (error) {
      // What cannot even be refused is delivered again all the same; the first failure is the one to tell.
      if (delivery?.isSettled === false) await delivery.nack({ reason: reasonFrom(error) }).catch(() => undefined);
      this.#fail(error, request);
      return;
    }
    try {
      await delivery?.ack();
    } catch (error) {
      // A lost connection does it: the request is heard again, and its reply is there.
      if (this.#options.onError !== undefined) this.#fail(error, request);
    }
  }

  async #answer(request: IncomingRequest): Promise<void> {
    const reply = await this.#handler(request);
    if (reply === undefined) return;
    const { signalId, senderAgentId } = request;
    try {
      await this.#environment.send(reply, {
        recipients: [senderAgentId],
        correlationId: signalId,
        requestId: `reply to ${signalId}`,
      });
    } catch (error) {
      // It was answered before, otherwise: by a handler whose process or connection was lost before it could acknowledge.
      if (!(error instanceof InvalidRequestError && error.reason === "REQUEST_ID_REUSED")) throw error;
    }
  }

  #fail(error: unknown, request: IncomingRequest): void {
    try {
      if (this.#options.onError === undefined) throw error;
      this.#options.onError(error, request);
    } catch (thrown) {
      this.#handlers.fail(thrown);
    }
  }
}

/** Picks requests, of these types when there are any: what a named subscription has it delivers, and it has to be handled. */
export function requestExpression(messageTypes: readonly string[] | undefined): string {
  const isRequest = "signal.inter_agent_message.requires_response";
  if (messageTypes === undefined) return isRequest;
  return `${isRequest} && signal.inter_agent_message.message_type in ${JSON.stringify(messageTypes)}`;
}
