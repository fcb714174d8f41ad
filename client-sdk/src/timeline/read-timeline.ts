import type { Client } from "@connectrpc/connect";
import {
  type CoordinationService,
  type GetTimelineResponse,
  GraphFormat,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import type { Caller, CallOptions } from "../calls/caller.js";
import { invalidOption } from "../errors/invalid-option.js";
import { checkSequence } from "../options/check-sequence.js";
import { countFrom } from "../options/count-from.js";
import { spanFrom } from "../options/span-from.js";

/** How to read what happened. */
export interface TimelineOptions extends CallOptions {
  /** Adds the timeline as `text`: a Gantt chart of Mermaid, or a trace that chrome://tracing and Perfetto open. Default: no text. */
  readonly format?: "mermaid" | "chromeTrace" | undefined;
  /** Tells of the signals after this one only. Default 0n. */
  readonly afterSequence?: bigint | undefined;
  /** Tells of the signals through this one only. Default: through the head. */
  readonly untilSequence?: bigint | undefined;
  /** How many signals to list at the most, the last ones, up to 5,000. Default 1,000. */
  readonly maxSignals?: number | undefined;
  /** The shortest time without a sign of an agent that counts as idle, in milliseconds. Default 1,000. */
  readonly minIdleMs?: number | undefined;
}

const formats: Readonly<Record<string, GraphFormat>> = {
  mermaid: GraphFormat.MERMAID,
  chromeTrace: GraphFormat.CHROME_TRACE,
};

/** Reads what happened in a coordination, by agents. */
export async function readTimeline(
  environment: {
    readonly client: Client<typeof CoordinationService>;
    readonly caller: Caller;
    readonly coordinationId: string;
  },
  options: TimelineOptions,
): Promise<GetTimelineResponse> {
  const { client, caller, coordinationId } = environment;
  const { afterSequence = 0n, untilSequence = 0n, minIdleMs } = options;
  checkSequence("afterSequence", afterSequence);
  checkSequence("untilSequence", untilSequence);
  const maxSignals = countFrom("maxSignals", options.maxSignals);
  const format = options.format === undefined ? GraphFormat.UNSPECIFIED : formats[options.format];
  if (format === undefined) throw invalidOption(`format is "${options.format}", known are "mermaid" and "chromeTrace"`);
  const idle = minIdleMs === undefined ? {} : { minIdle: spanFrom("minIdleMs", minIdleMs) };
  const request = { coordinationId, format, afterSequence, untilSequence, maxSignals, ...idle };
  return caller.call((attempt) => client.getTimeline(request, attempt), options);
}
