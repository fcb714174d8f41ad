import type { CoordinationSignal, Priority } from "@coordination-signals/proto/coordination/v1/signal";
import type { DeliveryOrder } from "../../server/src/delivery/reading-order.js";
import type { TailItem } from "../../server/src/delivery/tail-item.js";
import { decodeCursor } from "../../server/src/model/cursor.js";

type ItemOf<Kind extends TailItem["kind"]> = Extract<TailItem, { readonly kind: Kind }>;

// What is not there by then was missed; less than a test may take, so that the test says what it waited for.
const patienceMs = 10_000;

/**
 * Takes a subscription's items one by one, and checks of every one what must hold of all: ranges join, positions never go
 * back, signals lie in their range and rise.
 */
export class SignalReader {
  /** Everything taken so far. */
  readonly items: TailItem[] = [];
  readonly #source: AsyncGenerator<TailItem, void, undefined>;
  readonly #abort: AbortController;
  readonly #order: DeliveryOrder;
  readonly #lastOfLevel = new Map<Priority, bigint>();
  #through: bigint | undefined;
  #isFirstRange = true;

  constructor(
    source: AsyncGenerator<TailItem, void, undefined>,
    abort: AbortController,
    order: DeliveryOrder = "sequence",
  ) {
    this.#source = source;
    this.#abort = abort;
    this.#order = order;
  }

  /** The signals taken so far. */
  get signals(): readonly CoordinationSignal[] {
    return this.items.flatMap((item) => (item.kind === "batch" ? item.entries.map(({ signal }) => signal) : []));
  }

  /** Sequences of the signals taken so far. */
  get sequences(): readonly number[] {
    return this.signals.map(({ sequence }) => Number(sequence));
  }

  /** The cursor of the last item taken. */
  get cursor(): string {
    return this.items.at(-1)?.cursor ?? "";
  }

  /** The next item; undefined when the subscription has ended well. Rejects with what ended it. */
  async next(): Promise<TailItem | undefined> {
    const { value, done } = await this.#nextInTime();
    if (done === true || value === undefined) return undefined;
    this.#check(value);
    this.items.push(value);
    return value;
  }

  /** Takes items until one of a kind; throws when the subscription ends before. */
  async until<Kind extends TailItem["kind"]>(kind: Kind): Promise<ItemOf<Kind>> {
    for (;;) {
      const item = await this.next();
      if (item === undefined) throw new Error(`the subscription ended before ${kind}`);
      if (isKind(item, kind)) return item;
    }
  }

  /** Takes items until so many signals in all were taken. Returns their sequences. */
  async untilSignals(count: number): Promise<readonly number[]> {
    while (this.signals.length < count) {
      if ((await this.next()) === undefined) throw new Error(`ended after ${this.signals.length} of ${count} signals`);
    }
    return this.sequences;
  }

  /** Takes items until the subscription ends. Rejects with what ended it unless it ended well. */
  async untilEnd(): Promise<readonly TailItem[]> {
    while ((await this.next()) !== undefined);
    return this.items;
  }

  /** Goes away, as a client does whose connection is cut. */
  async leave(): Promise<void> {
    this.#abort.abort();
    await this.#source.return();
  }

  async #nextInTime(): Promise<IteratorResult<TailItem, void>> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#abort.abort();
    }, patienceMs);
    try {
      const result = await this.#source.next();
      // Leaving is the only way to get a parked reader back.
      if (isLate) throw new Error(`nothing came for ${patienceMs} ms after ${this.items.length} items`);
      return result;
    } finally {
      clearTimeout(timer);
    }
  }

  #check(item: TailItem): void {
    const position = decodeCursor(item.cursor).sequence;
    if (item.kind === "subscribed") {
      // Said again when the coordination begins; one that reads from the oldest may begin later than it thought.
      if (this.#isFirstRange) this.#through = position;
    } else if (item.kind === "caughtUp") {
      if (item.throughSequence !== this.#through) throw new Error(`caught up at ${item.throughSequence}, elsewhere`);
    } else {
      // One that reads from the oldest begins later when the oldest has left the history meanwhile.
      const joins = this.#isFirstRange
        ? item.afterSequence >= (this.#through ?? 0n)
        : item.afterSequence === this.#through;
      this.#isFirstRange = false;
      if (!joins) {
        throw new Error(`a range begins after ${item.afterSequence}, the one before ended with ${this.#through}`);
      }
      if (this.#order === "priority") this.#checkLevels(item);
      else checkInside(item);
      this.#through = item.throughSequence;
    }
    if (position !== this.#through) throw new Error(`the cursor is at ${position}, the reader at ${this.#through}`);
  }

  /** In order of priority a signal comes after the range's beginning and after those of its level; it may lie beyond its end. */
  #checkLevels(item: ItemOf<"batch"> | ItemOf<"checkpoint">): void {
    const { afterSequence, throughSequence } = item;
    if (throughSequence < afterSequence)
      throw new Error(`a range goes back from ${afterSequence} to ${throughSequence}`);
    for (const { signal } of item.kind === "batch" ? item.entries : []) {
      const last = this.#lastOfLevel.get(signal.priority) ?? 0n;
      if (signal.sequence <= last || signal.sequence <= afterSequence) {
        throw new Error(`signal ${signal.sequence} came after ${last} of its level, in a range after ${afterSequence}`);
      }
      this.#lastOfLevel.set(signal.priority, signal.sequence);
    }
  }
}

function checkInside(item: ItemOf<"batch"> | ItemOf<"checkpoint">): void {
  const { afterSequence, throughSequence } = item;
  if (throughSequence < afterSequence) throw new Error(`a range goes back from ${afterSequence} to ${throughSequence}`);
  let last = afterSequence;
  for (const { sequence } of item.kind === "batch" ? item.entries : []) {
    if (sequence <= last || sequence > throughSequence) {
      throw new Error(`signal ${sequence} in a range from ${afterSequence} to ${throughSequence}`);
    }
    last = sequence;
  }
}

function isKind<Kind extends TailItem["kind"]>(item: TailItem, kind: Kind): item is ItemOf<Kind> {
  return item.kind === kind;
}
