/*
 * Acknowledgements of one subscription on their way to the server. What is said in one turn, or while a call is on its way,
 * leaves together in the next: a thousand acknowledgements cost a call, and a lone one does not wait. Calls follow one
 * another, so that what a consumer says of a delivery arrives in the order in which it was said.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import {
  AckAction,
  type AcknowledgementResult,
  type AcknowledgementSchema,
} from "@coordination-signals/proto/coordination/v1/acknowledgement";
import type { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { Attempt, Caller } from "../calls/caller.js";
import { clientClosedError } from "../errors/cancelled-error.js";
import {
  AckExpiredError,
  type CoordinationClientError,
  InternalError,
  OverloadedError,
} from "../errors/coordination-client-error.js";
import { errorFromStatus } from "../errors/error-from-status.js";
import type { Clock } from "../time/clock.js";

/** Acknowledgements in one call: the most that the contract allows. */
const maxBatch = 1_000;
/** Acknowledgements that may wait: twice what a subscription can have outstanding, each with an extension beside it. */
const maxPending = 20_000;

type Acknowledgement = Exclude<MessageInitShape<typeof AcknowledgementSchema>, { $typeName: string }>;

interface PendingAcknowledgement {
  readonly acknowledgement: Acknowledgement;
  readonly resolve: (result: AcknowledgementResult) => void;
  readonly reject: (error: unknown) => void;
}

/** What acknowledgements are sent with. */
export interface AcknowledgerEnvironment {
  readonly client: Client<typeof SignalService>;
  readonly caller: Caller;
  readonly coordinationId: string;
  readonly subscription: string;
  readonly clock: Clock;
  /** How long closing waits for answers, in milliseconds. */
  readonly closeTimeoutMs: number;
}

/** Sends acknowledgements in batches, each answered for itself. */
export class Acknowledger {
  readonly #environment: AcknowledgerEnvironment;
  readonly #pending: PendingAcknowledgement[] = [];
  readonly #givingUp = new AbortController();
  #sending: Promise<void> | undefined;

  constructor(environment: AcknowledgerEnvironment) {
    this.#environment = environment;
  }

  /** Sends one. Resolves with what became of it, rejects with why it was refused. */
  send(acknowledgement: Acknowledgement): Promise<AcknowledgementResult> {
    if (this.#pending.length >= maxPending) return Promise.reject(tooMany());
    return new Promise((resolve, reject) => {
      this.#pending.push({ acknowledgement, resolve, reject });
      this.#sending ??= this.#sendAll();
    });
  }

  /** Waits for the answers of what was sent; what has none when the time is over rejects with CancelledError. Never rejects. */
  async close(): Promise<void> {
    const { clock, closeTimeoutMs } = this.#environment;
    const cancelTimer = clock.startTimer(closeTimeoutMs, () => this.#givingUp.abort(clientClosedError()));
    await this.#sending;
    cancelTimer();
  }

  async #sendAll(): Promise<void> {
    // What is said in this turn goes along.
    await Promise.resolve();
    while (this.#pending.length > 0) await this.#sendBatch(this.#pending.splice(0, maxBatch));
    this.#sending = undefined;
  }

  /** Never rejects: each item learns what became of it. */
  async #sendBatch(batch: readonly PendingAcknowledgement[]): Promise<void> {
    const { client, caller, coordinationId, subscription } = this.#environment;
    const acknowledgements = batch.map(({ acknowledgement }) => acknowledgement);
    try {
      const request = { coordinationId, subscription, acknowledgements };
      let isRepeated = false;
      const run = (attempt: Attempt) => {
        isRepeated = attempt.number > 1;
        return client.acknowledgeSignals(request, attempt);
      };
      const { results } = await caller.call(run, { signal: this.#givingUp.signal });
      if (results.length !== batch.length) throw wrongCount(results.length, batch.length);
      for (const [index, { acknowledgement, resolve, reject }] of batch.entries()) {
        const result = results[index] as AcknowledgementResult;
        const error = result.error && errorFromStatus(result.error);
        if (error === undefined || (isRepeated && isDoneBefore(acknowledgement, error))) resolve(result);
        else reject(error);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}

/** Whether an acknowledgement that was said before was refused because what it asks for is done: only its answer was lost. */
function isDoneBefore({ action }: Acknowledgement, error: CoordinationClientError): boolean {
  if (!(error instanceof AckExpiredError)) return false;
  const { cause } = error.metadata;
  return (
    (action === AckAction.ACK && cause === "settled") || (action === AckAction.REJECT && cause === "dead_lettered")
  );
}

function tooMany(): OverloadedError {
  const message = `${maxPending} acknowledgements wait for their answers: await some before more are sent`;
  return new OverloadedError({ message, reason: "SEND_QUEUE_FULL", code: "RESOURCE_EXHAUSTED" });
}

function wrongCount(results: number, acknowledgements: number): InternalError {
  const message = `the answer has ${results} results for ${acknowledgements} acknowledgements`;
  return new InternalError({ message, reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
}
