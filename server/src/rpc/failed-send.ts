import type { DescMethod, Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import {
  type BatchSendSignalsRequest,
  type RequestSignalRequest,
  type SendSignalRequest,
  SignalService,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { Logger } from "pino";
import { CoordinationError } from "../model/coordination-error.js";

/** The names in a request that was refused are as long as the client made them. */
const maxLoggedCharacters = 200;

/**
 * Logs each call that was to send and failed, whatever refused it. What a batch refuses signal by signal is logged there. Whoever has
 * left, tired of waiting for a reply or an acknowledgement, was refused nothing.
 */
export function failedSendInterceptor(logger: Logger): Interceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      const isFailure = ConnectError.from(error).code !== Code.Canceled;
      if (isFailure && !request.stream && sends(request.method)) {
        logFailedSend(logger, signalAtFault(request.message, error), error);
      }
      throw error;
    }
  };
}

/** Logs why one signal was not sent. */
export function logFailedSend(logger: Logger, request: SendSignalRequest | undefined, error: unknown): void {
  logger.warn(
    {
      reason: error instanceof CoordinationError ? error.reason : "INTERNAL",
      coordinationId: request?.coordinationId.slice(0, maxLoggedCharacters),
      senderAgentId: request?.senderAgentId.slice(0, maxLoggedCharacters),
      detail: error instanceof Error ? error.message : String(error),
      ...(error instanceof CoordinationError && error.cause !== undefined && { err: error.cause }),
    },
    "failed to send signal",
  );
}

const sending: ReadonlySet<DescMethod> = new Set([
  SignalService.method.sendSignal,
  SignalService.method.batchSendSignals,
  SignalService.method.requestSignal,
]);

function sends(method: DescMethod): boolean {
  return sending.has(method);
}

function signalAtFault(message: Message, error: unknown): SendSignalRequest | undefined {
  if (message.$typeName === "coordination.v1.SendSignalRequest") return message as SendSignalRequest;
  if (message.$typeName === "coordination.v1.RequestSignalRequest") return (message as RequestSignalRequest).request;
  const index = error instanceof CoordinationError ? Number(error.metadata["index"] ?? 0) : 0;
  return (message as BatchSendSignalsRequest).requests[index];
}
