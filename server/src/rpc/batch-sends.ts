import {
  type BatchSendSignalsRequest,
  type SendSignalRequest,
  SendSignalRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { AppendOutcome } from "../coordination/append-signals.js";
import type { SendOrder } from "../coordination/send-order.js";
import { CoordinationError } from "../model/coordination-error.js";
import { type Preparation, prepareSignals } from "../model/prepare-signals.js";
import type { PreparedSignal } from "../model/prepared-signal.js";
import type { SendOutcome } from "./batch-response.js";
import { logFailedSend } from "./failed-send.js";
import { internalError } from "./internal-error.js";
import { refuseRequiredAcks } from "./send-signal.js";
import type { ServiceDependencies } from "./service-dependencies.js";
import { type RequestValidator, RequestViolationError } from "./validate-request.js";
import { WireSend } from "./wire-send/wire-send.js";

const batchMethod = "coordination.v1.SignalService/BatchSendSignals";

/** A batch whose signals stand in their coordinations' queues: what is begun after it is stored after it. */
export interface BegunBatch {
  /** One per request; rejects with the refusal of an atomic batch. */
  readonly outcomes: Promise<SendOutcome[]>;
}

/**
 * Begins to store a batch, in an order if one is given: at once, if it can. Throws, or rejects with, what refuses an atomic batch
 * before it reaches a queue.
 */
export function beginBatch(
  dependencies: ServiceDependencies,
  { requests, atomic }: BatchSendSignalsRequest,
  order?: SendOrder,
): BegunBatch | Promise<BegunBatch> {
  return atomic ? beginAtomic(dependencies, requests, order) : beginEach(dependencies, requests, order);
}

/** Logs and counts why a signal of a batch was refused. Answers the refusal as an error of the contract. */
export function noteRefusal(
  { logger, metrics }: ServiceDependencies,
  request: SendSignalRequest | undefined,
  error: unknown,
): CoordinationError {
  logFailedSend(logger, request, error);
  const known = error instanceof CoordinationError ? error : internalError(error, batchMethod, logger);
  metrics.error(known.reason);
  return known;
}

function beginEach(
  dependencies: ServiceDependencies,
  requests: readonly SendSignalRequest[],
  order: SendOrder | undefined,
): BegunBatch | Promise<BegunBatch> {
  const outcomes = new Array<SendOutcome>(requests.length);
  const prepared: PreparedSignal[] = [];
  const indexes: number[] = [];
  for (const [index, preparation] of preparedEach(dependencies, requests).entries()) {
    if (preparation.prepared === undefined) {
      outcomes[index] = { error: noteRefusal(dependencies, requests[index], preparation.error) };
    } else {
      prepared.push(preparation.prepared);
      indexes.push(index);
    }
  }
  if (prepared.length === 0) return { outcomes: Promise.resolve(outcomes) };
  const fill = (appended: readonly AppendOutcome[]): SendOutcome[] => {
    for (const [at, outcome] of appended.entries()) {
      const index = indexes[at] ?? 0;
      outcomes[index] =
        outcome.stored === undefined ? { error: noteRefusal(dependencies, requests[index], outcome.error) } : outcome;
    }
    return outcomes;
  };
  const begun = dependencies.coordinator.beginSends(prepared, order);
  if (!(begun instanceof Promise)) return { outcomes: begun.result.then(fill) };
  return begun.then(({ result }) => ({ outcomes: result.then(fill) }));
}

async function beginAtomic(
  dependencies: ServiceDependencies,
  requests: readonly SendSignalRequest[],
  order: SendOrder | undefined,
): Promise<BegunBatch> {
  const coordinationId = requests[0]?.coordinationId ?? "";
  const other = requests.findIndex((request) => request.coordinationId !== coordinationId);
  const mixed = other < 0 ? undefined : mixedCoordinations(coordinationId, requests[other]?.coordinationId ?? "");
  const prepared = preparedEach(dependencies, requests).map((preparation, index) => {
    if (index === other) throw atIndex(mixed, index);
    if (preparation.prepared === undefined) throw atIndex(preparation.error, index);
    return preparation.prepared;
  });
  const { result } = await dependencies.coordinator.beginAtomicSends(prepared, order);
  return { outcomes: result.then((all) => all.map((stored) => ({ stored }))) };
}

/** One for each request. Those that were prepared when they were read stand for themselves. */
function preparedEach(
  { validator }: ServiceDependencies,
  requests: readonly SendSignalRequest[],
): readonly Preparation[] {
  if (areWireSends(requests)) return requests;
  const messages = requests.filter((request) => !(request instanceof WireSend));
  const violations = messages.map((message) => violationOf(validator, message));
  const preparations = prepareSignals(messages.filter((_, index) => violations[index] === undefined));
  let nextMessage = 0;
  let nextPreparation = 0;
  return requests.map((request) => {
    if (request instanceof WireSend) return request;
    return violations[nextMessage++] ?? preparations[nextPreparation++] ?? { error: undefined };
  });
}

/** As nearly always. */
function areWireSends(requests: readonly SendSignalRequest[]): requests is readonly WireSend[] {
  return requests.every((request) => request instanceof WireSend);
}

function violationOf(validator: RequestValidator, request: SendSignalRequest): Preparation | undefined {
  try {
    validator.validate(SendSignalRequestSchema, request);
    refuseRequiredAcks(request, "a batch is answered once it is durable");
    return undefined;
  } catch (error) {
    return { error };
  }
}

function atIndex(error: unknown, index: number): unknown {
  if (error instanceof RequestViolationError) return error.atIndex(index);
  if (!(error instanceof CoordinationError)) return error;
  return new CoordinationError(error.reason, `requests[${index}]: ${error.message}`, {
    metadata: { ...error.metadata, index: String(index) },
  });
}

function mixedCoordinations(first: string, other: string): CoordinationError {
  return new CoordinationError(
    "INVALID_REQUEST",
    `an atomic batch is of one coordination, this one names "${first}" and "${other}"`,
  );
}
