/**
 * Sends and readers of one coordination that do not wait for each other: a send may be under way while readers come, stop
 * reading, are cut off and resume at any place they have been, while the history is trimmed, while it is removed and begins
 * again and, where the store outlasts the server, while that restarts. What is known of it in the end is the answer to every
 * send, and what each reader was told.
 */
import { create } from "@bufbuild/protobuf";
import { type CoordinationSignal, CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import fc from "fast-check";
import type { SubscriptionStart } from "../../server/src/delivery/subscription-start.js";
import type { TailItem } from "../../server/src/delivery/tail-item.js";
import { CoordinationError } from "../../server/src/model/coordination-error.js";
import { decodeCursor } from "../../server/src/model/cursor.js";
import { checkWaiting } from "./check-readings.js";
import { CoordinatorUnderTest, openDurable, type PlaceOutcome } from "./coordinator-under-test.js";
import type { RequestParts } from "./log-entries.js";
import { LogViolation } from "./log-violation.js";
import { signal, subscriptionOf, type View, view } from "./random-traffic.js";
import { settle } from "./settle.js";
import type { SignalReader } from "./signal-reader.js";

/** One step. Numbers choose among the readers there are, or among the items that one was told. */
export type Step =
  | { readonly kind: "send"; readonly mode: "each" | "batch" | "atomic"; readonly signals: readonly RequestParts[] }
  | { readonly kind: "flood"; readonly signals: number }
  | { readonly kind: "open"; readonly view: View; readonly at: "earliest" | "latest" | number }
  | { readonly kind: "resume"; readonly view: View; readonly reader: number; readonly item: number }
  | { readonly kind: "read"; readonly reader: number; readonly items: number }
  | { readonly kind: "cut"; readonly reader: number }
  | { readonly kind: "turns"; readonly turns: number }
  | { readonly kind: "rollBack"; readonly signals: number }
  | { readonly kind: "delete" }
  | { readonly kind: "rest" }
  | { readonly kind: "restart" };

/** What one reader was told. */
export interface Reading {
  readonly view: View;
  readonly start: SubscriptionStart;
  readonly items: readonly TailItem[];
  /** What ended it; undefined when it ended well or went away. */
  readonly error: CoordinationError | undefined;
  /** Whether it went away before the end. */
  readonly wasCut: boolean;
}

/** Signals that a rollback took out: those after a sequence through another. */
export interface Rollback {
  readonly afterSequence: bigint;
  readonly throughSequence: bigint;
  /** Whoever has a cursor of a lower one knows nothing of it. */
  readonly generation: number;
}

/** One incarnation of the log. */
export interface Life {
  /** Every signal that was accepted, in the order of the log, whether it is still in history or not. */
  readonly log: readonly CoordinationSignal[];
  readonly rollbacks: readonly Rollback[];
  readonly isDeleted: boolean;
}

/** What is known in the end. */
export interface Outcome {
  /** By epoch. */
  readonly lives: ReadonlyMap<string, Life>;
  /** Of the last one. */
  readonly oldestSequence: bigint;
  readonly readings: readonly Reading[];
}

/** Where steps are taken: on a store in memory, or on LMDB in a directory of its own. */
export interface Stage extends AsyncDisposable {
  readonly current: CoordinatorUnderTest;
  /** Stops the server and starts it again on its store; undefined where nothing would be left. */
  readonly restart: (() => Promise<unknown>) | undefined;
  /** Present where nothing happens by itself. */
  readonly control?: StageControl;
}

/** Decides what happens next where nothing happens by itself. */
export interface StageControl {
  /** Lets so much happen of what is ready to. */
  turns(count: number): Promise<void>;
  /** Lets everything happen that can. */
  rest(): Promise<void>;
  /** Lets things happen until this has. Rejects when nothing is left that could. */
  until<T>(promise: Promise<T>): Promise<T>;
  /** Told of every signal that a reader was shown. Throws when it could still be lost. */
  shown(epoch: string, sequence: bigint): void;
}

/** The stores on which steps are taken, and how often: one on disk takes longer. */
export const stages: readonly {
  readonly name: string;
  readonly runs: number;
  /** With so many coordinations in memory that nobody uses; by default as many as a server keeps. */
  readonly open: (retentionSignals: number, maxIdleCoordinations?: number) => Promise<Stage>;
}[] = [
  {
    name: "in memory",
    runs: 60,
    open: async (retentionSignals, maxIdleCoordinations) => {
      const current = new CoordinatorUnderTest({ retentionSignals, maxIdleCoordinations, recipientValidation: "off" });
      return { current, restart: undefined, [Symbol.asyncDispose]: () => current.dispose() };
    },
  },
  {
    name: "on LMDB",
    runs: 30,
    open: (retentionSignals, maxIdleCoordinations) =>
      openDurable({ retentionSignals, maxIdleCoordinations, recipientValidation: "off" }),
  },
];

/** More than the least step in which the history is trimmed, and more than the tail cache holds. */
const floods = [300, 1_100] as const;
const highestStart = 40;

const reader = fc.nat({ max: 20 });

const quietSteps: readonly fc.WeightedArbitrary<Step>[] = [
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("send" as const),
      mode: fc.constantFrom("each" as const, "batch" as const, "atomic" as const),
      signals: fc.array(signal, { minLength: 1, maxLength: 12 }),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({ kind: fc.constant("read" as const), reader, items: fc.integer({ min: 1, max: 6 }) }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("turns" as const), turns: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("open" as const),
      view,
      at: fc.oneof(fc.constantFrom("earliest" as const, "latest" as const), fc.nat({ max: highestStart })),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("resume" as const), view, reader, item: fc.nat({ max: 30 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("cut" as const), reader }) },
  { weight: 1, arbitrary: fc.constant({ kind: "restart" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("flood" as const), signals: fc.constantFrom(...floods) }) },
];

const rollBack: fc.WeightedArbitrary<Step> = {
  weight: 4,
  arbitrary: fc.record({ kind: fc.constant("rollBack" as const), signals: fc.nat({ max: 15 }) }),
};

const removal: readonly fc.WeightedArbitrary<Step>[] = [
  { weight: 1, arbitrary: fc.constant({ kind: "delete" as const }) },
  { weight: 8, arbitrary: fc.constant({ kind: "rest" as const }) },
];

/** Up to 40 steps: mostly sends and reads, and now and then something that disturbs them. */
export const steps: fc.Arbitrary<readonly Step[]> = plansOf(quietSteps);

/** The same, with rollbacks of the last few signals among them. */
export const stepsWithRollbacks: fc.Arbitrary<readonly Step[]> = plansOf([...quietSteps, rollBack]);

/** The same, and the coordination is removed and begins again. */
export const stepsWithRemovals: fc.Arbitrary<readonly Step[]> = plansOf([...quietSteps, rollBack, ...removal], "max");

/** By default most plans are short, "max" makes all lengths alike. */
function plansOf(choices: readonly fc.WeightedArbitrary<Step>[], size?: "max"): fc.Arbitrary<readonly Step[]> {
  return fc.array(fc.oneof(...choices), { minLength: 5, maxLength: 40, ...(size && { size }) });
}

/** Takes the steps, lets every send be answered, closes the coordination and lets every reader come to its end. */
export async function play(stage: Stage, plan: readonly Step[]): Promise<Outcome> {
  const interleaving = new Interleaving(stage);
  for (const step of plan) await interleaving.take(step);
  return await interleaving.finish();
}

/** A life as it goes on. */
interface GrowingLife {
  readonly signals: Map<bigint, CoordinationSignal>;
  readonly rollbacks: Rollback[];
}

class Interleaving {
  readonly #stage: Stage;
  readonly #lives = new Map<string, GrowingLife>();
  readonly #changes: Promise<void>[] = [];
  readonly #readers: BackgroundReader[] = [];

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case "send":
        return this.#send(step);
      case "flood":
        return this.#send({ mode: "batch", signals: Array.from({ length: step.signals }, () => ({})) });
      case "open":
        return this.#open(step.view, startAt(step.at));
      case "resume":
        return this.#resume(step);
      case "read":
        return this.#reader(step.reader)?.read(step.items);
      case "cut":
        return await this.#until(this.#reader(step.reader)?.cut() ?? Promise.resolve());
      case "turns":
        return await (this.#stage.control?.turns(step.turns) ?? settle(step.turns));
      case "rollBack":
        this.#changes.push(this.#rollBack(step.signals));
        return;
      case "delete":
        this.#changes.push(this.#delete());
        return;
      case "rest":
        return await this.#rest();
      case "restart":
        return await this.#restart();
    }
  }

  async finish(): Promise<Outcome> {
    await this.#until(Promise.all(this.#changes));
    // Something has to be there that can be closed.
    this.#send({ mode: "each", signals: [{}] });
    await this.#until(Promise.all(this.#changes));
    const endings = this.#readers.map((each) => each.readToEnd());
    await this.#rest();
    const { current } = this.#stage;
    await this.#until(current.coordinator.closeCoordination("c", ""));
    await this.#rest();
    if (this.#stage.control !== undefined && this.#readers.some((each) => each.isWaiting)) {
      throw new LogViolation("lost", "a reader waits for ever for the end of a coordination that was closed");
    }
    await this.#until(Promise.all(endings));
    const { oldestSequence } = await this.#until(current.header());
    return { lives: await this.#livesAtRest(), readings: this.#readers, oldestSequence };
  }

  #until<T>(promise: Promise<T>): Promise<T> {
    return this.#stage.control?.until(promise) ?? promise;
  }

  /** Lets everything happen that can: then nobody may wait while something is pending for it. */
  async #rest(): Promise<void> {
    if (this.#stage.control === undefined) return;
    await this.#stage.control.rest();
    const lives = await this.#livesAtRest();
    for (const each of this.#readers) if (each.isWaiting) checkWaiting(lives, each);
  }

  /** All that was answered. When nothing is under way, every life but the one that is there was removed. */
  async #livesAtRest(): Promise<ReadonlyMap<string, Life>> {
    const { current } = this.#stage;
    const epoch = await this.#until(
      current.header().then(
        (header) => header.epoch,
        () => undefined,
      ),
    );
    const bySequence = (a: CoordinationSignal, b: CoordinationSignal) => Number(a.sequence - b.sequence);
    return new Map(
      Array.from(this.#lives, ([each, { signals, rollbacks }]) => [
        each,
        { log: [...signals.values()].sort(bySequence), rollbacks, isDeleted: each !== epoch },
      ]),
    );
  }

  #send({ mode, signals }: Pick<Extract<Step, { kind: "send" }>, "mode" | "signals">): void {
    const { current } = this.#stage;
    if (mode === "each") {
      for (const parts of signals) this.#note([parts], current.sendEach([parts]));
    } else if (mode === "batch") {
      this.#note(signals, current.sendEach(signals));
    } else {
      this.#note(
        signals,
        current.sendAtomically(signals).then((all) => all.map((stored) => ({ stored }))),
      );
    }
  }

  #note(signals: readonly RequestParts[], sending: Promise<readonly PlaceOutcome[]>): void {
    const noted = sending.then((outcomes) => {
      for (const [index, { stored, error }] of outcomes.entries()) {
        if (stored === undefined) throw error;
        const life = this.#life(stored.epoch);
        if (life.signals.has(stored.sequence)) throw new Error(`sequence ${stored.sequence} was given twice`);
        const { sequence, signalId } = stored;
        const { recipientAgentIds = [], senderAgentId = "sender", priority = 2, event } = signals[index] ?? {};
        const fields = { sequence, signalId, recipientAgentIds, senderAgentId, priority };
        const said = event ?? { case: "interAgentMessage" as const, value: {} };
        life.signals.set(sequence, create(CoordinationSignalSchema, { ...fields, event: said }));
      }
    });
    this.#changes.push(noted);
  }

  #life(epoch: string): GrowingLife {
    const life = this.#lives.get(epoch) ?? { signals: new Map(), rollbacks: [] };
    this.#lives.set(epoch, life);
    return life;
  }

  #open(eyes: View, start: SubscriptionStart): void {
    const subscription = this.#stage.current.subscribe({ ...subscriptionOf(eyes), start });
    this.#readers.push(new BackgroundReader(subscription, { view: eyes, start, control: this.#stage.control }));
  }

  #resume(step: Extract<Step, { kind: "resume" }>): void {
    const items = this.#reader(step.reader)?.items ?? [];
    const cursor = items[step.item % Math.max(1, items.length)]?.cursor;
    if (cursor !== undefined) this.#open(step.view, { at: "cursor", cursor: decodeCursor(cursor) });
  }

  async #rollBack(signals: number): Promise<void> {
    const { current } = this.#stage;
    try {
      const { headSequence } = await current.header();
      const toSequence = headSequence > BigInt(signals) ? headSequence - BigInt(signals) : 0n;
      const result = await current.coordinator.rollBack("c", { toSequence, reason: "", requestedBy: "" });
      if (result.removedSignals === 0n) return;
      const { epoch, generation, headSequence: throughSequence } = result.header;
      this.#life(epoch).rollbacks.push({ afterSequence: toSequence, throughSequence, generation });
    } catch (error) {
      // Nothing is there yet or any more, or the place was rolled back before: then nothing happens.
      if (!isRefused(error, /NOT_FOUND|ROLLED_BACK|EXPIRED|CURSOR_AHEAD/)) throw error;
    }
  }

  async #delete(): Promise<void> {
    try {
      await this.#stage.current.coordinator.deleteCoordination("c");
    } catch (error) {
      if (!isRefused(error, /NOT_FOUND/)) throw error;
    }
  }

  async #restart(): Promise<void> {
    if (this.#stage.restart === undefined) return;
    await this.#until(Promise.all(this.#changes));
    await this.#until(Promise.all(this.#readers.map((each) => each.cut())));
    await this.#until(this.#stage.restart());
  }

  #reader(number: number): BackgroundReader | undefined {
    return this.#readers[number % Math.max(1, this.#readers.length)];
  }
}

function startAt(at: "earliest" | "latest" | number): SubscriptionStart {
  return typeof at === "number" ? { at: "sequence", afterSequence: BigInt(at) } : { at };
}

function isRefused(error: unknown, reasons: RegExp): boolean {
  return error instanceof CoordinationError && reasons.test(error.reason);
}

/** A reader that takes its items in the background, one after another. */
class BackgroundReader implements Reading {
  readonly view: View;
  readonly start: SubscriptionStart;
  error: CoordinationError | undefined;
  wasCut = false;
  readonly #reader: SignalReader;
  readonly #control: StageControl | undefined;
  #hasEnded = false;
  #isTaking = false;
  /** What was wrong with what it was told. */
  #failure: unknown;
  #reading = Promise.resolve();

  constructor(
    subscription: SignalReader,
    options: { readonly view: View; readonly start: SubscriptionStart; readonly control: StageControl | undefined },
  ) {
    this.#reader = subscription;
    this.view = options.view;
    this.start = options.start;
    this.#control = options.control;
  }

  /** Whether it has asked for an item that has not come. */
  get isWaiting(): boolean {
    return this.#isTaking && !this.#hasEnded;
  }

  get items(): readonly TailItem[] {
    return this.#reader.items;
  }

  read(items: number): void {
    this.#reading = this.#reading.then(async () => {
      for (let taken = 0; taken < items && !this.#hasEnded; taken++) await this.#take();
    });
  }

  async readToEnd(): Promise<void> {
    this.read(Number.POSITIVE_INFINITY);
    await this.#reading;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async cut(): Promise<void> {
    if (!this.#hasEnded) this.wasCut = true;
    await this.#reader.leave();
    await this.#reading;
    this.#hasEnded = true;
  }

  async #take(): Promise<void> {
    this.#isTaking = true;
    try {
      const item = await this.#reader.next();
      if (item === undefined) this.#hasEnded = true;
      else if (item.kind === "batch") {
        const { epoch } = decodeCursor(item.cursor);
        for (const { sequence } of item.entries) this.#control?.shown(epoch, sequence);
      }
    } catch (error) {
      this.#hasEnded = true;
      if (error instanceof CoordinationError) this.error = error;
      else this.#failure = error;
    } finally {
      this.#isTaking = false;
    }
  }
}
