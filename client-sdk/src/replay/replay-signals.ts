import type { Client } from "@connectrpc/connect";
import type { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { cancelledError } from "../errors/cancelled-error.js";
import { errorFromConnect } from "../errors/error-from-connect.js";
import { amountRule, checkNumber } from "../options/check-number.js";
import { checkSequence } from "../options/check-sequence.js";
import { assertOfTypes } from "../signals/assert-of-types.js";
import {
  assertKnownOptions,
  type SignalFilterOptions,
  signalFilterFrom,
  signalFilterKeys,
} from "../signals/signal-filter.js";
import { type SignalTransformOptions, signalTransformFrom } from "../signals/signal-transform.js";
import type { SignalEventCase, TypedSignal } from "../signals/typed-signal.js";
import { linkAbort } from "../time/linked-abort.js";

/** Which stretch of history to read again, and how fast. */
export interface ReplayOptions<Case extends SignalEventCase = SignalEventCase> extends SignalFilterOptions<Case> {
  /** Begins after this sequence. Default 0. */
  readonly afterSequence?: bigint | undefined;
  /** Ends with this sequence. Default: the head when the replay begins. */
  readonly untilSequence?: bigint | undefined;
  /** 0 sends as fast as possible, 1 with the gaps in which the signals came, n with gaps n times shorter. Default 0. */
  readonly speed?: number | undefined;
  /** What becomes of signals before they are handed out. Default: nothing. */
  readonly transform?: SignalTransformOptions | undefined;
  /** Gives up: the iteration throws CancelledError. */
  readonly signal?: AbortSignal | undefined;
}

/** What a replay is read with. */
export interface ReplayEnvironment {
  readonly client: Client<typeof SignalService>;
  readonly coordinationId: string;
  /** Aborted when the client is closed. */
  readonly closed: AbortSignal;
}

const replayKeys = [
  ...signalFilterKeys,
  "afterSequence",
  "untilSequence",
  "speed",
  "transform",
  "signal",
] as const satisfies readonly (keyof ReplayOptions)[];

/**
 * Hands out a stretch of history again, in order and at its pace, and ends after its last signal. Leaving the loop ends the
 * call. A connection that is lost throws UnavailableError: replay again after the last sequence that was read.
 */
export async function* replaySignals<Case extends SignalEventCase>(
  { client, coordinationId, closed }: ReplayEnvironment,
  options: ReplayOptions<Case>,
): AsyncGenerator<TypedSignal<Case>, void, undefined> {
  assertKnownOptions(options, replayKeys);
  checkSequence("afterSequence", options.afterSequence);
  checkSequence("untilSequence", options.untilSequence);
  checkNumber("speed", options.speed, amountRule);
  const transform = signalTransformFrom(options.transform);
  const request = {
    coordinationId,
    afterSequence: options.afterSequence ?? 0n,
    untilSequence: options.untilSequence ?? 0n,
    speed: options.speed ?? 0,
    filter: signalFilterFrom(options),
    ...(transform && { transform }),
  };
  const left = new AbortController();
  const abort = linkAbort(options.signal, closed, left.signal);
  try {
    for await (const { signals } of client.replaySignals(request, { signal: abort.signal })) {
      for (const signal of signals) yield assertOfTypes(signal, options.types);
    }
  } catch (thrown) {
    if (abort.signal.aborted) throw cancelledError(abort.signal);
    throw errorFromConnect(thrown);
  } finally {
    left.abort();
    abort.release();
  }
}
