import { createCoordinationClient, type KeepaliveOptions } from "@coordination-signals/client";
import type { ReaderJournal } from "../journal/reader-journal.js";

/** How the SDK notices a connection that says nothing. */
export interface SdkPatience {
  readonly checkpointIntervalMs: number;
  /** Default: the SDK's own. */
  readonly keepalive?: KeepaliveOptions;
}

/** What an SDK reader works with. */
export interface SdkReaderOptions {
  readonly urls: readonly string[];
  readonly coordinationId: string;
  /** Empty for an observer. */
  readonly agentId: string;
  readonly journal: ReaderJournal;
  readonly patience: SdkPatience;
  /** Told of every stream that went on from a cursor and brought what follows. */
  readonly onResumed: () => void;
  /** Ends the reader. */
  readonly signal: AbortSignal;
}

/** Reads a coordination as an application does: one loop, and the SDK looks after the rest. */
export async function runSdkReader(options: SdkReaderOptions): Promise<void> {
  const { urls, coordinationId, agentId, journal, patience, onResumed, signal } = options;
  await using client = createCoordinationClient({
    baseUrls: urls,
    retry: { initialDelayMs: 20, maxDelayMs: 500 },
    keepalive: patience.keepalive,
  });
  const session =
    agentId === "" ? client.coordination(coordinationId) : client.coordination(coordinationId, { agentId });
  let isResuming = false;
  const reached = (throughSequence: bigint): void => {
    journal.reached(throughSequence);
    if (isResuming) onResumed();
    isResuming = false;
  };
  const subscription = session.subscribe({
    from: "earliest",
    signal,
    checkpointIntervalMs: patience.checkpointIntervalMs,
    onStatus: (status) => {
      if (status.type === "connected") isResuming = status.resumed;
      if (status.type === "checkpoint" || status.type === "caughtUp") reached(status.throughSequence);
    },
  });
  for await (const received of subscription) {
    journal.shown(received);
    reached(received.sequence);
  }
}
