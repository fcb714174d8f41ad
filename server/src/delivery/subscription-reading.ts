import type { Clock } from "../model/clock.js";
import type { LogEntry } from "../model/log-entry.js";
import type { OpenReading } from "../state/agent-reading.js";
import type { SessionState } from "../state/session-state.js";
import type { SubscriptionStart } from "./subscription-start.js";

/** What of a subscription's request decides what its agent gets. */
export interface ReadingRequest {
  /** Empty for an observer. */
  readonly agentId: string;
  /** The filter as it was asked for, in base64; empty for none, undefined where it is too large to be kept. */
  readonly filterBytes?: string | undefined;
  readonly start: SubscriptionStart;
  readonly includeOwn: boolean;
}

/** Keeps what a subscription hands to its agent, for receipts. Observers are nobody's recipients: of theirs nothing is kept. */
export class SubscriptionReading {
  readonly #agentId: string;
  readonly #clock: Clock;
  #reading: OpenReading | undefined;

  constructor(agentId: string, clock: Clock) {
    this.#agentId = agentId;
    this.#clock = clock;
  }

  /** It is known where the subscription starts: after this sequence. */
  begin(session: SessionState, request: ReadingRequest, startSequence: bigint): void {
    const { filterBytes: filter, includeOwn, start } = request;
    if (this.#agentId === "") return;
    const wish = { filter, includeOwn, startSequence, isResumed: start.at === "cursor" };
    this.#reading = session.readings.open(this.#agentId, wish, this.#clock.nowMs());
  }

  /** Signals were taken by the reader's connection, and with them all that it wants through a sequence. */
  delivered(entries: readonly LogEntry[], throughSequence: bigint): void {
    if (this.#reading === undefined) return;
    const directed: bigint[] = [];
    for (const { facts, sequence } of entries) {
      if (facts.recipientAgentIds.includes(this.#agentId)) directed.push(sequence);
    }
    this.#reading.delivered(throughSequence, directed, this.#clock.nowMs());
  }

  end(): void {
    this.#reading?.close();
  }
}
