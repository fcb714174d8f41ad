import { NotFoundError } from "../errors/coordination-client-error.js";
import { errorFromConnect } from "../errors/error-from-connect.js";
import type { Attempt, Caller, CallOptions } from "./caller.js";

/**
 * Makes a call that removes something. When it had to be repeated and then finds nothing, it has succeeded: an earlier
 * attempt got through, only its answer was lost.
 */
export async function remove(
  caller: Caller,
  run: (attempt: Attempt) => Promise<unknown>,
  options: CallOptions,
): Promise<void> {
  await caller.call(async (attempt) => {
    try {
      await run(attempt);
    } catch (thrown) {
      if (attempt.number === 1 || !(errorFromConnect(thrown) instanceof NotFoundError)) throw thrown;
    }
  }, options);
}
