import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { type AckItem, acknowledge } from "../../server/src/delivery/acknowledged/acknowledge-operation.js";
import { type ClaimedSignal, claim } from "../../server/src/delivery/acknowledged/claim-operation.js";
import { redrive } from "../../server/src/delivery/acknowledged/dead-letter-operations.js";
import { release } from "../../server/src/delivery/acknowledged/release-operation.js";
import { SignalCopies } from "../../server/src/delivery/acknowledged/signal-copies.js";
import { computedStanding, knownStanding } from "../../server/src/delivery/acknowledged/signal-standing.js";
import { isOver, isSpent } from "../../server/src/delivery/acknowledged/standing.js";
import { Draft } from "../../server/src/state/draft.js";
import { SessionState } from "../../server/src/state/session-state.js";
import {
  type DeliveryRecord,
  type SubscriptionRecord,
  sequenceKey,
} from "../../server/src/state/subscription-record.js";
import type { JournalRecord } from "../../server/src/store/signal-store.js";
import { entryAt, headerOf } from "../support/log-entries.js";

/*
 * Commands of chance on one subscription, beside a model that knows of every signal who has it, until when, and how often it was
 * handed out. The coordination is read again from its journal whenever a command says so, as after a crash.
 */

const signals = 6;
const maxAttempts = 3;
const ackDeadlineMs = 100;
const name = "work";
const owner = "server";
const subscription: SubscriptionRecord = {
  name,
  agentId: "worker",
  filter: "",
  start: { at: "earliest" },
  includeOwn: false,
  createTimeMs: 0,
  secret: "secret",
  policy: { ackDeadlineMs, maxDeliveryAttempts: maxAttempts, minBackoffMs: 20, maxBackoffMs: 50, maxOutstanding: 100 },
};

interface Modelled {
  state: "pending" | "leased" | "done" | "dead";
  attempts: number;
  deadlineMs: number;
  consumer: string;
  acknowledgedMs?: number;
}

class Subject {
  nowMs = 1_000;
  readonly model: Modelled[] = Array.from({ length: signals }, () => ({
    state: "pending",
    attempts: 0,
    deadlineMs: 0,
    consumer: "",
  }));
  readonly handedOut: ClaimedSignal[] = [];
  readonly #journal = new Map<string, JournalRecord>();
  readonly #copies = new SignalCopies(
    new Map(this.model.map((_, index) => [`${index + 1}`, entryAt(BigInt(index + 1)).bytes])),
  );
  #header = headerOf({ headSequence: BigInt(signals) });
  #session = new SessionState("c", { header: this.#header, records: [] }, "0");

  constructor() {
    this.#run((draft) => draft.subscriptions.put(subscription, { throughSequence: "0", claims: 0 }));
  }

  claim(count: number, consumer: string): void {
    const { named } = this.#session;
    const seen = named.scans.get(name);
    if (seen === undefined) throw new Error("the subscription has no position");
    const scanned = Number(seen.throughSequence);
    const due = [...named.deliveriesOf(name).values()].filter((record) => this.#isClaimable(record));
    const fresh = Array.from({ length: Math.min(count, signals - scanned) }, (_, index) =>
      entryAt(BigInt(scanned + index + 1)),
    );
    const lease = { owner, consumer };
    const picked = [
      ...due.map((record) => ({ is: "due" as const, record, entry: entryAt(BigInt(record.sequence)), lease })),
      ...fresh.map((entry) => ({ is: "new" as const, entry, lease })),
    ];
    const claimed = this.#run((draft) =>
      claim(
        draft,
        {
          subscription,
          seen,
          seenGeneration: 0,
          place: { positions: [BigInt(scanned + fresh.length)] },
          signals: picked,
          unanswered: [],
        },
        { nowMs: this.nowMs, isClaimable: (record) => this.#isClaimable(record) },
      ),
    );
    for (const signal of claimed ?? []) {
      const modelled = this.#modelled(signal.entry.sequence);
      // Nobody has it: its lease has run out, or it was given back.
      expect(modelled.state === "leased" && modelled.deadlineMs > this.nowMs).toBe(false);
      expect(["pending", "leased"]).toContain(modelled.state);
      modelled.attempts += 1;
      expect(signal.attempt).toBe(modelled.attempts);
      expect(modelled.attempts).toBeLessThanOrEqual(maxAttempts);
      Object.assign(modelled, { state: "leased", deadlineMs: this.nowMs + ackDeadlineMs, consumer });
      this.handedOut.push(signal);
    }
  }

  acknowledge(index: number, action: AckItem["action"]): void {
    const signal = this.handedOut[index % Math.max(1, this.handedOut.length)];
    if (signal === undefined) return;
    const modelled = this.#modelled(signal.entry.sequence);
    const isLatest = this.handedOut.findLast(({ entry }) => entry.sequence === signal.entry.sequence) === signal;
    const isTaken = isLatest && modelled.state === "leased" && modelled.deadlineMs > this.nowMs;
    const item = { deliveryId: signal.deliveryId, action, reason: "", delayMs: undefined };
    const [outcome] = this.#run((draft) =>
      acknowledge(draft, [item], { name, copies: this.#copies, nowMs: this.nowMs }),
    );
    expect(outcome?.is !== "refused").toBe(isTaken);
    if (!isTaken) return;
    const isLast = modelled.attempts === maxAttempts;
    if (action === "ack") Object.assign(modelled, { state: "done", acknowledgedMs: this.nowMs });
    if (action === "extend") modelled.deadlineMs = this.nowMs + ackDeadlineMs;
    if (action === "reject" || (action === "nack" && isLast)) modelled.state = "dead";
    else if (action === "nack") modelled.state = "pending";
    expect(outcome?.is === "buried").toBe(modelled.state === "dead");
  }

  /** A consumer has gone, and whoever has no attempt left is parked. */
  leave(consumer: string): void {
    const options = { nowMs: this.nowMs, isOfEndedProcess: () => false };
    const isGone = (record: DeliveryRecord): boolean =>
      record.lease?.consumer === consumer || (isOver(record, options) && isSpent(subscription, record));
    this.#run((draft) => release(draft, isGone, { name, copies: this.#copies, nowMs: this.nowMs }));
    for (const modelled of this.model) {
      if (modelled.state !== "leased") continue;
      const isExhausted = modelled.attempts === maxAttempts;
      const isExpired = modelled.deadlineMs <= this.nowMs;
      if (modelled.consumer === consumer) modelled.state = isExhausted ? "dead" : "pending";
      else if (isExpired && isExhausted) modelled.state = "dead";
    }
  }

  redrive(): void {
    const count = this.#run((draft) => redrive(draft, { name, sequences: [] }, this.nowMs));
    const dead = this.model.filter(({ state }) => state === "dead");
    expect(count).toBe(dead.length);
    for (const modelled of dead) Object.assign(modelled, { state: "pending", attempts: 0 });
  }

  /** Starts again with what the journal has. */
  restart(): void {
    this.#session = new SessionState("c", { header: this.#header, records: [...this.#journal.values()] }, "0");
  }

  check(): void {
    const { named } = this.#session;
    for (const [index, { state, attempts }] of this.model.entries()) {
      const record = named.deliveriesOf(name).get(sequenceKey(BigInt(index + 1)));
      expect(named.deadLetters.has(`${name} ${sequenceKey(BigInt(index + 1))}`)).toBe(state === "dead");
      if (state === "done" || state === "dead") expect(record).toBeUndefined();
      else expect(record?.attempt ?? 0).toBe(attempts);
      this.#checkStanding(index);
    }
    const held = [...this.#journal.values()].filter(({ kind }) => kind === "heldSignal");
    const kept = [...named.deliveriesOf(name).values()].filter(({ isHeld }) => isHeld).length + named.deadLetters.size;
    expect(held).toHaveLength(kept);
  }

  /** What receipts, explanations and waiting sends compute of it is what the model says. */
  #checkStanding(index: number): void {
    const { named } = this.#session;
    const entry = entryAt(BigInt(index + 1));
    const options = { sequence: entry.sequence, nowMs: this.nowMs, isOfEndedProcess: () => false };
    const standing = knownStanding(named, subscription, options) ?? computedStanding(named, subscription, entry);
    const { state, deadlineMs, acknowledgedMs } = this.model[index] ?? {};
    if (state === "done") expect(standing).toMatchObject({ is: "acknowledged", time: { acknowledgedMs } });
    else if (state === "dead") expect(standing.is).toBe("deadLettered");
    else if (state === "leased" && (deadlineMs ?? 0) > this.nowMs) expect(standing.is).toBe("outstanding");
    else expect(["waiting", "notYet"]).toContain(standing.is);
  }

  #isClaimable(record: DeliveryRecord): boolean {
    return isOver(record, { nowMs: this.nowMs, isOfEndedProcess: () => false }) && !isSpent(subscription, record);
  }

  #modelled(sequence: bigint): Modelled {
    const modelled = this.model[Number(sequence) - 1];
    if (modelled === undefined) throw new Error(`there is no signal ${sequence}`);
    return modelled;
  }

  #run<T>(operation: (draft: Draft) => T): T {
    const draft = new Draft({
      session: this.#session,
      nowMs: this.nowMs,
      acceptedAtMs: 0,
      retentionSignals: 1_000,
      countBeginning: () => () => undefined,
      knownRequests: new Map(),
      sharesWaits: false,
    });
    const result = draft.transact(operation);
    const part = draft.toCommitPart();
    if (part?.action !== "write") return result;
    this.#header = part.header;
    for (const { kind, key, value } of part.records) {
      if (value === undefined) this.#journal.delete(`${kind} ${key}`);
      else this.#journal.set(`${kind} ${key}`, { kind, key, value });
    }
    this.#session.apply(draft);
    return result;
  }
}

const consumer = fc.constantFrom("a", "b");
const command = fc.oneof(
  fc.record({ is: fc.constant("claim" as const), count: fc.integer({ min: 0, max: 3 }), consumer }),
  fc.record({
    is: fc.constant("acknowledge" as const),
    index: fc.nat({ max: 30 }),
    action: fc.constantFrom("ack", "nack", "extend", "reject"),
  }),
  fc.record({ is: fc.constant("leave" as const), consumer }),
  fc.record({ is: fc.constant("advance" as const), byMs: fc.constantFrom(5, 25, 60, 120) }),
  fc.record({ is: fc.constantFrom("redrive" as const, "restart" as const) }),
);

test("hands each signal to one consumer at a time, counts every attempt, and parks exactly after the last", () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const subject = new Subject();
      for (const each of commands) {
        if (each.is === "claim") subject.claim(each.count, each.consumer);
        else if (each.is === "acknowledge") subject.acknowledge(each.index, each.action as AckItem["action"]);
        else if (each.is === "leave") subject.leave(each.consumer);
        else if (each.is === "advance") subject.nowMs += each.byMs;
        else if (each.is === "redrive") subject.redrive();
        else subject.restart();
        subject.check();
      }
    }),
    { numRuns: 150 },
  );
});
