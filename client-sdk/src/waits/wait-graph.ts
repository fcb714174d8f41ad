import type { Client } from "@connectrpc/connect";
import {
  type CoordinationService,
  type GetWaitGraphResponse,
  GraphFormat,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import type { Caller, CallOptions } from "../calls/caller.js";
import { invalidOption } from "../errors/invalid-option.js";

/** How to read who waits for what. */
export interface WaitGraphOptions extends CallOptions {
  /** Adds the graph as `text`: a flowchart of Mermaid or a digraph of Graphviz. Default: no text. */
  readonly format?: "mermaid" | "dot" | undefined;
}

const formats: Readonly<Record<string, GraphFormat>> = { mermaid: GraphFormat.MERMAID, dot: GraphFormat.DOT };

/** Reads who waits for what, who could bring it, and what stands in the way. */
export async function readWaitGraph(
  environment: {
    readonly client: Client<typeof CoordinationService>;
    readonly caller: Caller;
    readonly coordinationId: string;
  },
  options: WaitGraphOptions,
): Promise<GetWaitGraphResponse> {
  const { client, caller, coordinationId } = environment;
  const format = options.format === undefined ? GraphFormat.UNSPECIFIED : formats[options.format];
  if (format === undefined) throw invalidOption(`format is "${options.format}", known are "mermaid" and "dot"`);
  return caller.call((attempt) => client.getWaitGraph({ coordinationId, format }, attempt), options);
}
