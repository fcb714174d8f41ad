import type { DescMessage, DescService } from "@bufbuild/protobuf";
import type { RequestValidator } from "./validate-request.js";

/*
 * The rules of a type of request are compiled when the first one is validated, which takes up to 160 ms. Doing that for all of
 * them before a server listens would keep its clients waiting for half a second after a crash; doing it for none would make
 * calls wait at any later time. So it is done once those who wait for the server have been answered, a type at a time.
 */

// Clients that have lost their server are back by then, and have been answered.
const delayMs = 3_000;
// Between two types, for the calls that have arrived meanwhile.
const pauseMs = 20;

/** Compiles the rules of every request of these services soon, if no call has needed them before. Answers how to stop. */
export function warmUpRules(validator: RequestValidator, services: readonly DescService[]): () => void {
  const inputs = new Set<DescMessage>(services.flatMap(({ methods }) => methods.map(({ input }) => input)));
  const waiting = inputs.values();
  const compileNext = (): void => {
    const { value: input } = waiting.next();
    if (input === undefined) return;
    validator.compile(input);
    timer = later(compileNext, pauseMs);
  };
  let timer = later(compileNext, delayMs);
  return () => clearTimeout(timer);
}

/** A timer that keeps no process alive. */
function later(run: () => void, ms: number): NodeJS.Timeout {
  return setTimeout(run, ms).unref();
}
