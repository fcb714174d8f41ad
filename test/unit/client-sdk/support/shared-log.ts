/** One log behind several scripted servers, as replicas of one database have it. */
import { EventEmitter, once } from "node:events";
import type { HandlerContext } from "@connectrpc/connect";
import type {
  BatchSendSignalsRequest,
  SubscribeRequest,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { batch, cursorAt, epoch, signalAt, stored, subscribed } from "./scripted-log.js";
import type { Script } from "./scripted-server.js";

/** Signals in one batch of a subscription: few, so that a stream is cut between batches. */
const batchSignals = 2;

/** Stores signals, each request once, and hands them out to whoever reads after a sequence. */
export class SharedLog {
  readonly #texts: string[] = [];
  readonly #sequences = new Map<string, number>();
  readonly #appended = new EventEmitter().setMaxListeners(0);

  /** The messages stored, in order. */
  get texts(): readonly string[] {
    return this.#texts;
  }

  /** What a server of this log answers. */
  readonly script = {
    signals: {
      batchSendSignals: (request) => this.append(request),
      subscribe: (request, context) => this.#tail(request, context),
    },
  } satisfies Script;

  append({ requests }: BatchSendSignalsRequest) {
    const results = requests.map(({ requestId, event }) => {
      const known = this.#sequences.get(requestId);
      if (known !== undefined) return this.#answer(known, true);
      this.#texts.push(event.case === "interAgentMessage" ? event.value.message : "");
      this.#sequences.set(requestId, this.#texts.length);
      return this.#answer(this.#texts.length, false);
    });
    this.#appended.emit("appended");
    return { results };
  }

  #answer(sequence: number, deduplicated: boolean) {
    const { result } = stored(sequence);
    return { result: { ...result, value: { ...result.value, deduplicated } } };
  }

  async *#tail({ start }: SubscribeRequest, { signal }: HandlerContext) {
    let after = startOf(start);
    yield subscribed(this.#texts.length, cursorAt(after), epoch);
    while (!signal.aborted) {
      const through = Math.min(after + batchSignals, this.#texts.length);
      if (through > after) {
        yield this.#batch(after, through);
        after = through;
      } else {
        await once(this.#appended, "appended", { signal }).catch(() => undefined);
      }
    }
  }

  #batch(after: number, through: number) {
    const { item } = batch(after, through, []);
    if (item?.case !== "batch") throw new TypeError("not a batch");
    const signals = this.#texts.slice(after, through).map((text, index) => signalAt(after + index + 1, text));
    return { item: { ...item, value: { ...item.value, signals } } };
  }
}

/** A stream goes on after a cursor; these tests start no other way than at the earliest signal. */
function startOf(start: SubscribeRequest["start"]): number {
  if (start.case === "cursor") return Number(start.value.slice(cursorAt(0).length - 1));
  return start.case === "afterSequence" ? Number(start.value) : 0;
}
