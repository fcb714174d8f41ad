import type { DescMessage, DescMethod, Message } from "@bufbuild/protobuf";
import type { ConnectError, Interceptor } from "@connectrpc/connect";
import type { CallOutcomes } from "./call-outcomes.js";
import type { RequestValidator } from "./validate-request.js";

/** Turns whatever a call throws into an error of the contract, counts it, and logs what was not foreseen. */
export function errorInterceptor(outcomes: CallOutcomes): Interceptor {
  return (next) => async (request) => {
    const method = nameOfMethod(request.method);
    const fail = (error: unknown): ConnectError => outcomes.failed(method, error);
    try {
      const response = await next(request);
      if (response.stream) {
        // Asked for at the end only: a signal that nobody needs before is not made.
        const onEnd = (): void => {
          if (request.signal.aborted) outcomes.left(method, request.signal.reason);
          else outcomes.succeeded(method);
        };
        return withMessage(response, watched(response.message, { onEnd, fail }));
      }
      outcomes.succeeded(method);
      return response;
    } catch (error) {
      throw fail(error);
    }
  };
}

/** A method as calls of it are counted. */
export function nameOfMethod({ parent, name }: DescMethod): string {
  return `${parent.typeName}/${name}`;
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
