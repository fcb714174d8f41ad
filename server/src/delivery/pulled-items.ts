import type { ItemSink, PumpedReader } from "./item-sink.js";

/**
 * The items of what is pumped, for those who pull: each waits until the last was taken. Ends without a word when `abort` fires,
 * and then frees everything at once, even if nobody asks for the next item any more.
 */
export async function* pulledItems<Item>(
  open: (sink: ItemSink<Item>) => PumpedReader,
  abort: AbortSignal,
): AsyncGenerator<Item, void, undefined> {
  if (abort.aborted) return;
  const items = new PulledItems<Item>();
  const opened = open(items);
  const leave = (): void => {
    opened.leave();
    items.end();
  };
  abort.addEventListener("abort", leave);
  try {
    for (;;) {
      items.ask();
      opened.resume();
      const item = await items.next();
      if (item === undefined || abort.aborted) return;
      yield item;
    }
  } finally {
    abort.removeEventListener("abort", leave);
    opened.leave();
  }
}

/** Between what is pumped and one who pulls. It takes one item at a time. */
class PulledItems<Item> implements ItemSink<Item> {
  #items: Item[] = [];
  #isAsked = true;
  #ended: { readonly error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  get isReady(): boolean {
    return this.#isAsked && this.#items.length === 0;
  }

  write(item: Item): void {
    this.#items.push(item);
    this.#isAsked = false;
    this.#wake?.();
  }

  end(): void {
    this.#ended ??= {};
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#ended ??= { error };
    this.#wake?.();
  }

  /** The last item was taken, and the next is wanted. */
  ask(): void {
    this.#isAsked = true;
  }

  /** The next item; undefined when all has ended well. Throws what ended it else. */
  async next(): Promise<Item | undefined> {
    while (this.#items.length === 0 && this.#ended === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const item = this.#items.shift();
    if (item !== undefined) return item;
    if (this.#ended !== undefined && "error" in this.#ended) throw this.#ended.error;
    return undefined;
  }
}
