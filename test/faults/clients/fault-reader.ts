import { openSubscription } from "../../support/test-subscription.js";
import type { FaultServers } from "../harness/fault-servers.js";
import type { ReaderJournal } from "../journal/reader-journal.js";
import type { RoamingClient } from "./roaming-client.js";
import { isUnknownOutcome } from "./unknown-outcome.js";

/** What a reader works with. */
export interface FaultReaderOptions {
  readonly coordinationId: string;
  /** Empty for an observer. */
  readonly agentId: string;
  readonly journal: ReaderJournal;
  readonly client: RoamingClient;
  readonly servers: FaultServers;
  /** How long a stream may last before the next server is asked; undefined for as long as it does. */
  readonly streamTimeoutMs: number | undefined;
  /** Told of every stream that went on from a cursor and brought what follows. */
  readonly onResumed: () => void;
  /** Ends the reader. */
  readonly signal: AbortSignal;
}

/**
 * Reads a coordination with the plainest client: one stream after another, each resumed from the last cursor. It trusts
 * nobody: every range and every signal goes into its journal.
 */
export async function runFaultReader(options: FaultReaderOptions): Promise<void> {
  const { client, servers, signal } = options;
  let cursor = "";
  while (!signal.aborted) {
    await servers.whenUp();
    try {
      for await (const reached of readStream(options, cursor)) cursor = reached;
    } catch (error) {
      if (!signal.aborted && !isUnknownOutcome(error)) throw error;
      client.leave();
    }
  }
}

/** Yields the cursor after everything it has noted. */
async function* readStream(options: FaultReaderOptions, cursor: string): AsyncGenerator<string> {
  const { client, coordinationId, agentId, journal, onResumed, signal, streamTimeoutMs } = options;
  using stream = openSubscription(
    client.signals,
    {
      coordinationId,
      agentId,
      start: cursor === "" ? { case: "afterSequence", value: 0n } : { case: "cursor", value: cursor },
    },
    streamTimeoutMs === undefined ? {} : { timeoutMs: streamTimeoutMs },
  );
  const cancel = () => stream.cancel();
  signal.addEventListener("abort", cancel);
  let isResuming = cursor !== "";
  try {
    for (;;) {
      const item = await stream.next();
      if (item.case === "batch") for (const shown of item.value.signals) journal.shown(shown);
      if (item.case === "batch" || item.case === "checkpoint") {
        journal.scanned(item.value.afterSequence, item.value.throughSequence);
        if (isResuming) onResumed();
        isResuming = false;
        yield item.value.cursor;
      }
    }
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}
