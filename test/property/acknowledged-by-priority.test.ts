import type { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { levelOf, priorityLevels } from "../../server/src/model/priority-level.js";
import { MemorySignalStore } from "../../server/src/store/memory/memory-signal-store.js";
import { CoordinatorUnderTest } from "../support/coordinator-under-test.js";
import { type HandedSignal, NamedConsumer } from "../support/named-consumer.js";

/*
 * Commands of chance on one subscription that hands out the most urgent first, beside a model that knows what is next. The
 * coordinator starts again on its store whenever a command says so: then everything that was not settled comes again.
 */

const maxOutstanding = 3;

/** A signal of the model. */
interface Modelled {
  readonly sequence: number;
  readonly level: number;
}

class Subject {
  readonly #store = new MemorySignalStore();
  #coordinator = this.#start();
  #consumer: NamedConsumer;
  #sent = 0;
  /** Waiting: those never handed out, and those that are to be again. */
  #fresh: Modelled[] = [];
  #due: Modelled[] = [];
  /** In the consumer's hands, in the order in which it was handed them. */
  #leased: Modelled[] = [];
  readonly #held = new Map<number, HandedSignal>();
  #taken = 0;

  private constructor() {
    this.#consumer = joined(this.#coordinator);
  }

  static async open(): Promise<Subject> {
    const subject = new Subject();
    await subject.#consumer.join();
    return subject;
  }

  async send(priorities: readonly Priority[]): Promise<void> {
    await this.#coordinator.sendAtomically(priorities.map((priority) => ({ priority })));
    for (const priority of priorities) {
      this.#sent += 1;
      this.#fresh.push({ sequence: this.#sent, level: levelOf(priority) });
    }
    await this.#expectNext();
  }

  async settle(index: number, count: number, action: "ack" | "nack"): Promise<void> {
    const chosen = this.#leased.slice(index % Math.max(1, this.#leased.length)).slice(0, count);
    if (chosen.length === 0) return;
    const signals = chosen.map(({ sequence }) => this.#handed(sequence));
    const outcomes = await this.#consumer.acknowledge(signals, action, action === "nack" ? 0 : undefined);
    for (const { is } of outcomes) expect(is).toBe(action === "ack" ? "acknowledged" : "resting");
    this.#leased = this.#leased.filter((each) => !chosen.includes(each));
    if (action === "nack") this.#due.push(...chosen);
    await this.#expectNext();
  }

  async restart(): Promise<void> {
    await this.#consumer.leave();
    await this.#coordinator.coordinator.close();
    this.#coordinator = this.#start();
    this.#consumer = await joined(this.#coordinator).join();
    this.#taken = 0;
    this.#due.push(...this.#leased.splice(0));
    await this.#expectNext();
  }

  /** Acknowledges everything: each signal was handed out, and nothing is left. */
  async finish(): Promise<void> {
    while (this.#leased.length > 0) await this.settle(0, 1_000, "ack");
    expect([this.#fresh, this.#due]).toEqual([[], []]);
    const [view] = await this.#coordinator.coordinator.look("c", ({ session }) =>
      this.#coordinator.coordinator.named.views(session),
    );
    expect(view).toMatchObject({ outstandingCount: 0, deadLetterCount: 0 });
    await this.#consumer.leave();
    await this.#coordinator.dispose();
  }

  /** What the model says is next is what the consumer gets, in that order. */
  async #expectNext(): Promise<void> {
    const expected: number[] = [];
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.#due = this.#due.filter((each) => each !== next);
      this.#fresh = this.#fresh.filter((each) => each !== next);
      this.#leased.push(next);
      expected.push(next.sequence);
    }
    await this.#consumer.untilHanded(this.#taken + expected.length);
    const handed = this.#consumer.handed.slice(this.#taken);
    this.#taken += expected.length;
    for (const each of handed) this.#held.set(Number(each.entry.sequence), each);
    expect(handed.map(({ entry }) => Number(entry.sequence))).toEqual(expected);
  }

  #next(): Modelled | undefined {
    const ordinary = (each: Modelled): boolean => each.level > 0;
    const hasCapacity = this.#leased.filter(ordinary).length < maxOutstanding;
    const hasRoom = [...this.#leased, ...this.#due].filter(ordinary).length < maxOutstanding;
    const candidates = [
      ...this.#due.filter((each) => hasCapacity || !ordinary(each)),
      ...this.#fresh.filter((each) => (hasCapacity && hasRoom) || !ordinary(each)),
    ];
    // What was delivered before is what has the lower sequences of its level.
    return candidates.sort((a, b) => a.level - b.level || a.sequence - b.sequence)[0];
  }

  #handed(sequence: number): HandedSignal {
    const found = this.#held.get(sequence);
    if (found === undefined) throw new Error(`signal ${sequence} was not handed out`);
    return found;
  }

  #start(): CoordinatorUnderTest {
    return new CoordinatorUnderTest({ store: this.#store });
  }
}

function joined({ coordinator }: CoordinatorUnderTest): NamedConsumer {
  return new NamedConsumer(coordinator, { order: "priority", policy: { maxOutstanding } });
}

const priorities = fc.array(fc.constantFrom(...priorityLevels), { minLength: 1, maxLength: 8 });
const command = fc.oneof(
  { arbitrary: fc.record({ is: fc.constant("send" as const), priorities }), weight: 3 },
  {
    arbitrary: fc.record({
      is: fc.constant("settle" as const),
      index: fc.nat({ max: 10 }),
      count: fc.integer({ min: 1, max: 4 }),
      action: fc.constantFrom("ack" as const, "ack" as const, "nack" as const),
    }),
    weight: 4,
  },
  { arbitrary: fc.record({ is: fc.constant("restart" as const) }), weight: 1 },
);

test("a named subscription hands out the most urgent of what waits, each until it is settled, across restarts", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 25 }), async (commands) => {
      const subject = await Subject.open();
      for (const each of commands) {
        if (each.is === "send") await subject.send(each.priorities);
        else if (each.is === "settle") await subject.settle(each.index, each.count, each.action);
        else await subject.restart();
      }
      await subject.finish();
    }),
    { numRuns: 40 },
  );
});
