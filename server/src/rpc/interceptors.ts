import type { DescMessage, Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { MetricsCollector } from "../metrics/metrics-collector.js";
import { CoordinationError } from "../model/coordination-error.js";
import { connectErrorFrom } from "./error-details.js";
import { internalError } from "./internal-error.js";
import type { RequestValidator } from "./validate-request.js";

/** Turns whatever a call throws into an error of the contract, counts it, and logs what was not foreseen. */
export function errorInterceptor(options: {
  readonly logger: Logger;
  readonly metrics: MetricsCollector;
}): Interceptor {
  const mapped = (error: unknown, method: string): ConnectError => {
    const known = asConnectError(error);
    const result = known ?? connectErrorFrom(internalError(error, method, options.logger));
    if (error instanceof CoordinationError) options.metrics.error(error.reason);
    else if (known === undefined) options.metrics.error("INTERNAL");
    return result;
  };
  return (next) => async (request) => {
    const method = `${request.service.typeName}/${request.method.name}`;
    const fail = (error: unknown): ConnectError => {
      const failure = mapped(error, method);
      options.metrics.callEnded(method, nameOfCode(failure));
      return failure;
    };
    try {
      const response = await next(request);
      if (response.stream) {
        const onEnd = () => options.metrics.callEnded(method, endOf(request.signal));
        return withMessage(response, watched(response.message, { onEnd, fail }));
      }
      options.metrics.callEnded(method, "OK");
      return response;
    } catch (error) {
      throw fail(error);
    }
  };
}

/** Checks every request message against the contract's rules. */
export function validationInterceptor(validator: RequestValidator): Interceptor {
  return (next) => (request) => {
    if (!request.stream) {
      validator.validate(request.method.input, request.message);
      return next(request);
    }
    return next(withMessage(request, validated(request.message, request.method.input, validator)));
  };
}

/**
 * A request or a response with another message. What makes its properties when they are asked for stays so, which a copy by
 * spreading would ask for all: headers that nobody reads took a tenth of what an idle subscription holds.
 */
function withMessage<T extends { readonly message: unknown }>(of: T, message: T["message"]): T {
  const copy = Object.create(Object.getPrototypeOf(of), Object.getOwnPropertyDescriptors(of));
  return Object.defineProperty(copy, "message", { value: message, enumerable: true });
}

async function* validated<M extends Message>(
  messages: AsyncIterable<M>,
  schema: DescMessage,
  validator: RequestValidator,
): AsyncGenerator<M> {
  for await (const message of messages) {
    validator.validate(schema, message);
    yield message;
  }
}

/** Passes messages on; calls `fail` or `onEnd` once, however the stream ends. */
async function* watched<M>(
  messages: AsyncIterable<M>,
  { onEnd, fail }: { readonly onEnd: () => void; readonly fail: (error: unknown) => ConnectError },
): AsyncGenerator<M> {
  let failure: ConnectError | undefined;
  try {
    yield* messages;
  } catch (error) {
    failure = fail(error);
    throw failure;
  } finally {
    if (failure === undefined) onEnd();
  }
}

/** How a stream ended that nothing failed: well, or its reader left it. */
function endOf(signal: AbortSignal): string {
  return signal.aborted ? nameOfCode(ConnectError.from(signal.reason)) : "OK";
}

function nameOfCode({ code }: ConnectError): string {
  return Code[code] ?? "Unknown";
}

function asConnectError(error: unknown): ConnectError | undefined {
  if (error instanceof CoordinationError) return connectErrorFrom(error);
  return error instanceof ConnectError ? error : undefined;
}
