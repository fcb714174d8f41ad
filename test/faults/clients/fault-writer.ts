import { setTimeout } from "node:timers/promises";
import type { SendSignalResponse } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { FaultServers } from "../harness/fault-servers.js";
import type { Random } from "../harness/random.js";
import { plannedRequest, requestIdOf } from "../journal/planned-signal.js";
import type { WriterJournal } from "../journal/writer-journal.js";
import type { RoamingClient } from "./roaming-client.js";
import { isUnknownOutcome, isUnknownStatus } from "./unknown-outcome.js";

/** What a writer works with. */
export interface FaultWriterOptions {
  readonly coordinationId: string;
  readonly journal: WriterJournal;
  readonly client: RoamingClient;
  readonly servers: FaultServers;
  /** How long a call may take before the next server is asked; undefined for as long as it does. */
  readonly callTimeoutMs: number | undefined;
  /** How long it waits before it sends more. */
  readonly pauseMs: number;
  readonly random: Random;
  /** Told of every signal acknowledged for the first time. */
  readonly onAcknowledged: (count: number) => void;
  /** Told of what must not be: another answer to a repeated request, or a refusal. */
  readonly onWrong: (finding: string) => void;
}

interface Shipment {
  readonly ordinals: readonly number[];
  readonly isAtomic: boolean;
}

const maxBatch = 100;
/** How often what was acknowledged long ago is sent again. */
const repetitionChance = 0.1;

/** Between attempts, so that servers without their database are asked often and not all the time. */
const retryDelayMs = 20;

/** Sends planned signals one batch after another; an unknown outcome is settled by sending the same requests again. */
export class FaultWriter {
  readonly #options: FaultWriterOptions;

  constructor(options: FaultWriterOptions) {
    this.#options = options;
  }

  /** Sends until told to stop; then everything sent has been settled. */
  async run(isDone: () => boolean): Promise<void> {
    const { random, journal, pauseMs } = this.#options;
    while (!isDone()) {
      const count = random.chance(0.1) ? 1 : random.integer(2, maxBatch);
      const isAtomic = count > 1 && random.chance(0.3);
      await this.#settle({ ordinals: journal.plan(count, isAtomic), isAtomic });
      if (journal.sentCount > maxBatch && random.chance(repetitionChance)) await this.#repeat();
      if (pauseMs > 0) await setTimeout(pauseMs);
    }
  }

  /** Sends single requests again that were answered before. */
  async #repeat(): Promise<void> {
    const { random, journal } = this.#options;
    const first = random.integer(0, journal.sentCount - 10);
    await this.#settle({ ordinals: Array.from({ length: 10 }, (_, index) => first + index), isAtomic: false });
  }

  async #settle(shipment: Shipment): Promise<void> {
    const { client, servers, onWrong } = this.#options;
    for (;;) {
      await servers.whenUp();
      try {
        if (await this.#send(shipment)) return;
      } catch (error) {
        if (!isUnknownOutcome(error)) {
          onWrong(`request ${shipment.ordinals[0]} of ${shipment.ordinals.length} was refused: ${error}`);
          return;
        }
      }
      client.leave();
      await setTimeout(retryDelayMs);
    }
  }

  /** Sends once; answers whether everything was acknowledged. */
  async #send({ ordinals, isAtomic }: Shipment): Promise<boolean> {
    const { client, coordinationId, journal, callTimeoutMs } = this.#options;
    const options = callTimeoutMs === undefined ? {} : { timeoutMs: callTimeoutMs };
    const requests = ordinals.map((ordinal) => plannedRequest(coordinationId, { writer: journal.writer, ordinal }));
    const [first] = ordinals;
    if (requests.length === 1 && first !== undefined) {
      this.#acknowledged(first, await client.signals.sendSignal(requests[0] ?? {}, options));
      return true;
    }
    const { results } = await client.signals.batchSendSignals({ requests, atomic: isAtomic }, options);
    let isComplete = true;
    for (const [index, { result }] of results.entries()) {
      const ordinal = ordinals[index] ?? -1;
      if (result.case === "response") this.#acknowledged(ordinal, result.value);
      else if (result.case === undefined || isUnknownStatus(result.value)) isComplete = false;
      else this.#options.onWrong(`request ${ordinal} was refused: ${result.value.message}`);
    }
    return isComplete;
  }

  #acknowledged(ordinal: number, { sequence, deduplicated }: SendSignalResponse): void {
    const { journal, onAcknowledged, onWrong } = this.#options;
    const isKnown = journal.acknowledgedSequence(ordinal) !== undefined;
    const before = journal.acknowledge(ordinal, sequence);
    const requestId = requestIdOf({ writer: journal.writer, ordinal });
    if (before !== undefined) onWrong(`request ${requestId} was acknowledged as ${before}, then as ${sequence}`);
    if (isKnown && !deduplicated) onWrong(`request ${requestId} was taken twice, the second time as ${sequence}`);
    if (!isKnown) onAcknowledged(1);
  }
}
