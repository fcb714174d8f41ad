import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  AckAction,
  AckMode,
  type AcknowledgementSchema,
} from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { type SignalBatch, StartPosition } from "@coordination-signals/proto/coordination/v1/signal_service";
import { refusalFromStatus } from "../../support/refusal.js";
import { grpc, type TestClient } from "../../support/test-client.js";
import type { FaultServers } from "../harness/fault-servers.js";
import { nextMoment } from "../harness/next-moment.js";
import type { Random } from "../harness/random.js";
import type { ConsumerLife, DeliveryJournal, ReceivedDelivery } from "../journal/delivery-journal.js";
import { isUnknownOutcome } from "./unknown-outcome.js";

/** What a consumer works with. */
export interface FaultConsumerOptions {
  readonly name: string;
  readonly servers: FaultServers;
  readonly journal: DeliveryJournal;
  readonly random: Random;
  readonly coordinationId: string;
  readonly subscription: string;
  readonly maxAttempts: number;
  /** What a consumer cannot do, however often it tries. */
  readonly isPoison: (message: string) => boolean;
  readonly onWrong: (finding: string) => void;
  readonly signal: AbortSignal;
}

const maxTogether = 8;
const ackDeadlineMs = 120_000;
const maxOutstanding = 64;

type Decision = "ack" | "nack" | "reject" | "extend";

/**
 * A consumer of a named subscription that is killed as often as one likes: its connection is destroyed in the middle of whatever it
 * does, and another one joins. It does most of its work, refuses some and rejects a little, one stretch after the other.
 */
export class FaultConsumer {
  /** From now on it does everything at the first attempt. */
  isDiligent = false;
  readonly #options: FaultConsumerOptions;
  #client: TestClient | undefined;
  #life: ConsumerLife | undefined;

  constructor(options: FaultConsumerOptions) {
    this.#options = options;
  }

  /** Kills it: as far as the server can tell the process is gone. */
  kill(): void {
    if (this.#life !== undefined) this.#options.journal.end(this.#life);
    this.#client?.disconnect();
  }

  /** Works until it is told to end. */
  async run(): Promise<void> {
    const { servers, signal, journal, name } = this.#options;
    while (!signal.aborted) {
      await servers.whenUp();
      const [url = ""] = servers.urls;
      const client = grpc.connect(url);
      const life = journal.begin(name);
      this.#client = client;
      this.#life = life;
      try {
        await this.#consume(client, life);
      } catch (error) {
        if (!isUnknownOutcome(error) && !signal.aborted) throw error;
      } finally {
        journal.end(life);
        client.disconnect();
      }
      await nextMoment();
    }
  }

  async #consume({ signals }: TestClient, life: ConsumerLife): Promise<void> {
    const { coordinationId, subscription, maxAttempts, signal } = this.#options;
    const stream = signals.subscribe(
      {
        coordinationId,
        subscription,
        start: { case: "position", value: StartPosition.EARLIEST },
        ackPolicy: {
          mode: AckMode.EXPLICIT,
          ackDeadline: durationFromMs(ackDeadlineMs),
          maxDeliveryAttempts: maxAttempts,
          minBackoff: durationFromMs(0),
          maxBackoff: durationFromMs(0),
          maxOutstanding,
        },
      },
      { signal },
    );
    for await (const { item } of stream) {
      if (item.case === "batch") await this.#work(item.value, life);
    }
  }

  async #work(batch: SignalBatch, life: ConsumerLife): Promise<void> {
    const { journal, random } = this.#options;
    const received = receivedIn(batch);
    for (const { delivery } of received) journal.received(life, delivery);
    for (let next = 0; next < received.length && !life.isOver; ) {
      const count = random.integer(1, maxTogether);
      await nextMoment();
      if (!life.isOver) await this.#settle(received.slice(next, next + count), life);
      next += count;
    }
  }

  async #settle(received: readonly Received[], life: ConsumerLife): Promise<void> {
    const { journal, coordinationId, subscription } = this.#options;
    const decided = received.map(({ delivery, message }) => {
      const decision = this.#decide(message);
      const isHeld = decision === "extend" || journal.settling(life, delivery);
      if (decision === "ack") journal.perhapsAcknowledged(delivery.sequence);
      if (decision === "reject") journal.rejected(delivery.sequence);
      return { delivery, decision, isHeld };
    });
    const acknowledgements = decided.map(({ delivery, decision }) => acknowledgementOf(delivery, decision));
    const answer = await this.#client?.signals.acknowledgeSignals({ coordinationId, subscription, acknowledgements });
    for (const [index, { delivery, decision, isHeld }] of decided.entries()) {
      const { error } = answer?.results[index] ?? {};
      if (error === undefined && decision === "ack") journal.acknowledged(delivery.sequence);
      const reason = error && (refusalFromStatus(error).reason ?? "");
      if (reason !== undefined && reason !== "ACK_EXPIRED")
        this.#options.onWrong(`an acknowledgement was told ${reason}`);
      if (reason !== undefined && isHeld && decision !== "extend") journal.refused(life, delivery, reason);
    }
    const extended = received.filter((_, index) => decided[index]?.decision === "extend");
    if (extended.length > 0 && !life.isOver) await this.#settle(extended, life);
  }

  #decide(message: string): Decision {
    const { random, isPoison } = this.#options;
    if (this.isDiligent) return "ack";
    if (isPoison(message)) return "nack";
    if (random.chance(0.05)) return "nack";
    if (random.chance(0.002)) return "reject";
    return random.chance(0.05) ? "extend" : "ack";
  }
}

interface Received {
  readonly delivery: ReceivedDelivery;
  readonly message: string;
}

function receivedIn({ signals, deliveries }: SignalBatch): readonly Received[] {
  return signals.map(({ sequence, event }, index) => {
    const { deliveryId = "", attempt = 0, deadline } = deliveries[index] ?? {};
    const message = event.case === "interAgentMessage" ? event.value.message : "";
    return { delivery: { sequence, deliveryId, attempt, deadlineMs: Number(deadline?.seconds ?? 0) * 1_000 }, message };
  });
}

function acknowledgementOf(
  { deliveryId }: ReceivedDelivery,
  decision: Decision,
): MessageInitShape<typeof AcknowledgementSchema> {
  switch (decision) {
    case "ack":
      return { deliveryId };
    case "nack":
      return { deliveryId, action: AckAction.NACK, reason: "not now" };
    case "reject":
      return { deliveryId, action: AckAction.REJECT, reason: "not ever" };
    case "extend":
      return { deliveryId, action: AckAction.EXTEND };
  }
}
