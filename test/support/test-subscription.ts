import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import type {
  SignalService,
  SubscribeRequestSchema,
  SubscribeResponse,
} from "@coordination-signals/proto/coordination/v1/signal_service";

/** One thing that a subscription was told. */
export type SubscriptionItem = SubscribeResponse["item"];

/** Items of one kind. */
export type ItemOf<Kind extends SubscriptionItem["case"]> = Extract<SubscriptionItem, { case: Kind }>;

/** A subscription that is read one item at a time. Disposing of it leaves it, as a client does that cancels. */
export interface TestSubscription extends Disposable {
  /** Every item that was read. */
  readonly items: readonly SubscriptionItem[];
  /** Every signal that was read. */
  readonly signals: readonly CoordinationSignal[];
  /** Reads the next item. Throws what ended the stream, and an Error when it ended well. */
  next(): Promise<SubscriptionItem>;
  /** Reads up to the next item of a kind. */
  until<Kind extends SubscriptionItem["case"]>(kind: Kind): Promise<ItemOf<Kind>>;
  /** Reads until `count` signals were read in all; returns all that were. */
  untilSignals(count: number): Promise<readonly CoordinationSignal[]>;
  /** Reads to the end; returns the error that ended the stream, undefined when it ended well. */
  untilEnd(): Promise<unknown>;
  /** Cancels the call. */
  cancel(): void;
}

/** Opens a subscription; nothing is read until it is asked for. */
export function openSubscription(
  client: Client<typeof SignalService>,
  request: MessageInitShape<typeof SubscribeRequestSchema>,
  options: { readonly timeoutMs?: number } = {},
): TestSubscription {
  const abort = new AbortController();
  const stream = client.subscribe(request, { ...options, signal: abort.signal })[Symbol.asyncIterator]();
  const items: SubscriptionItem[] = [];
  const signals: CoordinationSignal[] = [];
  const read = async (): Promise<SubscriptionItem | undefined> => {
    const result = await stream.next();
    if (result.done === true) return undefined;
    const { item } = result.value;
    items.push(item);
    if (item.case === "batch") signals.push(...item.value.signals);
    return item;
  };
  const next = async (): Promise<SubscriptionItem> => {
    const item = await read();
    if (item === undefined) throw new Error("the subscription has ended");
    return item;
  };
  return {
    items,
    signals,
    next,
    until: (kind) => untilKind(next, kind),
    untilSignals: async (count) => {
      while (signals.length < count) await next();
      return signals;
    },
    untilEnd: () => untilEnd(read),
    cancel: () => abort.abort(),
    [Symbol.dispose]: () => abort.abort(),
  };
}

/** Throws when the ranges that a subscription's items stand for do not join, or a signal stands outside its batch's range. */
export function checkRangesJoin(items: readonly SubscriptionItem[]): void {
  let through: bigint | undefined;
  for (const item of items) {
    if (item.case !== "batch" && item.case !== "checkpoint") continue;
    const { afterSequence, throughSequence } = item.value;
    if (through !== undefined && afterSequence !== through) {
      throw new Error(`a range begins after ${afterSequence}, the one before ended with ${through}`);
    }
    through = throughSequence;
    if (item.case === "batch") checkInside(item.value.signals, afterSequence, throughSequence);
  }
}

function checkInside(signals: readonly CoordinationSignal[], after: bigint, through: bigint): void {
  let last = after;
  for (const { sequence } of signals) {
    if (sequence <= last || sequence > through) throw new Error(`signal ${sequence} in range ${after} to ${through}`);
    last = sequence;
  }
}

async function untilKind<Kind extends SubscriptionItem["case"]>(
  next: () => Promise<SubscriptionItem>,
  kind: Kind,
): Promise<ItemOf<Kind>> {
  for (;;) {
    const item = await next();
    if (isOfKind(item, kind)) return item;
  }
}

function isOfKind<Kind extends SubscriptionItem["case"]>(item: SubscriptionItem, kind: Kind): item is ItemOf<Kind> {
  return item.case === kind;
}

async function untilEnd(read: () => Promise<SubscriptionItem | undefined>): Promise<unknown> {
  try {
    while ((await read()) !== undefined);
    return undefined;
  } catch (error) {
    return error;
  }
}
