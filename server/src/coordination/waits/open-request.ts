import { CoordinationError } from "../../model/coordination-error.js";
import { isReply } from "../../model/is-reply.js";
import type { LogEntry } from "../../model/log-entry.js";
import { coordinationClosed } from "../../registry/agent-registry.js";
import { removedRangeAt } from "../../state/removed-ranges.js";
import type { SessionState } from "../../state/session-state.js";
import { WakeLatch } from "../../state/wake-latch.js";
import type { CoordinationHeader } from "../../store/signal-store.js";
import type { StoredSignal } from "../stored-signal.js";
import { type AfterLook, LogScan } from "./log-scan.js";
import type { WaitEnvironment } from "./wait-environment.js";
import { waitDeleted, waitInterrupted } from "./wait-errors.js";

/** A request and its reply. */
export interface Reply {
  readonly request: LogEntry;
  readonly reply: LogEntry;
}

/** How long a call waits for a reply. */
export interface ReplyTime {
  /** From when the request was stored. */
  readonly timeoutMs: number;
  /** At the most, from when the call waits. */
  readonly waitMs: number;
  readonly abort: AbortSignal;
}

/** What a call that waits for a reply works with. */
export interface OpenRequestOptions extends ReplyTime {
  readonly environment: WaitEnvironment;
  readonly session: SessionState;
  readonly request: StoredSignal;
}

/** A call that waits for the reply to a request: the first signal after it that `isReply`. */
export class OpenRequest {
  readonly #options: OpenRequestOptions;
  readonly #latch = new WakeLatch();
  readonly #scan: LogScan;
  #reply: LogEntry | undefined;
  /** When it ends without a reply, from when the request was stored. */
  #limitMs = 0;
  #isTimeOver = false;
  #hasLookedAgain = false;

  constructor(options: OpenRequestOptions) {
    this.#options = options;
    const { session, environment, request } = options;
    const onRestart = () => {
      this.#reply = undefined;
    };
    this.#scan = new LogScan({ session, reader: environment.reader, fromSequence: request.entry.sequence, onRestart });
  }

  /**
   * Resolves with the reply. Rejects with REQUEST_TIMEOUT, ROLLED_BACK (the request was taken out of the log),
   * COORDINATION_CLOSED, COORDINATION_NOT_FOUND, SHUTTING_DOWN, and with the signal's reason when the caller has gone.
   */
  async run(): Promise<Reply> {
    const { session, environment, request, timeoutMs, waitMs, abort } = this.#options;
    const { signalId, entry } = request;
    const leave = session.parkedWaits.park({ correlationId: signalId }, this.#latch.set);
    const passedMs = Math.max(0, environment.clock.nowMs() - entry.timestampMs);
    this.#limitMs = Math.min(timeoutMs, passedMs + waitMs);
    const timer = setTimeout(() => this.#endTime(), Math.max(0, this.#limitMs - passedMs));
    abort.addEventListener("abort", this.#latch.set);
    session.activity.subscriptionOpened(entry.facts.senderAgentId);
    try {
      return await this.#untilEnded();
    } finally {
      leave();
      clearTimeout(timer);
      abort.removeEventListener("abort", this.#latch.set);
      session.activity.subscriptionClosed(entry.facts.senderAgentId);
    }
  }

  #endTime(): void {
    this.#isTimeOver = true;
    this.#latch.set();
  }

  async #untilEnded(): Promise<Reply> {
    const { environment, session, abort } = this.#options;
    for (;;) {
      abort.throwIfAborted();
      if (environment.isDraining()) throw waitInterrupted();
      const header = this.#checkedHeader();
      await this.#scan.advance((entry) => this.#look(entry), abort);
      if (this.#reply !== undefined) return { request: this.#options.request.entry, reply: this.#reply };
      if (header.closeTimeMs !== undefined) throw coordinationClosed(header.coordinationId, header.closeReason);
      if (this.#isTimeOver && this.#hasLookedAgain) throw this.#timeout();
      if (this.#isTimeOver) {
        this.#hasLookedAgain = true;
        await environment.directory.withLatest(session.coordinationId, () => undefined);
      } else {
        await this.#latch.next();
      }
    }
  }

  #look(entry: LogEntry): AfterLook {
    const { signalId, entry: request } = this.#options.request;
    if (!isReply(entry.facts, { signalId, senderAgentId: request.facts.senderAgentId })) return "next";
    this.#reply = entry;
    return "enough";
  }

  #checkedHeader(): CoordinationHeader {
    const { session, request } = this.#options;
    const { header } = session;
    if (header?.epoch !== request.epoch) throw waitDeleted(session.coordinationId);
    const { sequence, signalId } = request;
    const removed = removedRangeAt(header.removedRanges, { sequence, generation: undefined });
    if (removed === undefined) return header;
    throw new CoordinationError("ROLLED_BACK", `the request, sequence ${sequence}, was rolled back`, {
      metadata: { signal_id: signalId, resume_after_sequence: String(removed.afterSequence) },
    });
  }

  #timeout(): CoordinationError {
    const { request } = this.#options;
    const { signalId } = request;
    const recipients = request.entry.facts.recipientAgentIds.slice(0, maxNamedAgents).join(",");
    const whom = recipients === "" ? "everyone" : recipients.replaceAll(",", ", ");
    return new CoordinationError(
      "REQUEST_TIMEOUT",
      `no reply from ${whom} to request ${signalId} within ${this.#limitMs} ms: a late one will be in history`,
      { metadata: { signal_id: signalId, sequence: String(request.entry.sequence), recipients } },
    );
  }
}

const maxNamedAgents = 16;
