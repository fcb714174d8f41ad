import type { BenchSystem } from "../systems/bench-system.js";
import type { ReaderOptions, SystemClient } from "../systems/system-client.js";
import { within } from "./deadline.js";
import { DeliveryCheck } from "./delivery-check.js";

/** Readers of one channel that all get everything. */
export interface ReaderGroupOptions extends Pick<ReaderOptions, "channel" | "from"> {
  readonly count: number;
  /** Called with each message of the first reader, beside the check. */
  readonly onMessage?: (number: number) => void;
}

/** How long delivering what was sent may take after the last send, in milliseconds. */
const deliveryTimeoutMs = 60_000;
/** Readers that are opened at once. */
const openTogether = 16;

/** Opens readers, checks all that they are handed, and closes them. */
export class ReaderGroup implements AsyncDisposable {
  readonly #checks: readonly DeliveryCheck[];
  readonly #readers: AsyncDisposable[] = [];
  readonly #failed: Promise<never>;

  private constructor(checks: readonly DeliveryCheck[], failed: Promise<never>) {
    this.#checks = checks;
    this.#failed = failed;
  }

  /** Resolves when all readers stand. */
  static async open(system: BenchSystem, client: SystemClient, options: ReaderGroupOptions): Promise<ReaderGroup> {
    const { channel, from, count, onMessage } = options;
    let onError: (error: unknown) => void = () => {};
    const failed = new Promise<never>((_, reject) => {
      onError = reject;
    });
    // Whoever waits for messages learns of it.
    failed.catch(() => {});
    const names = Array.from({ length: count }, (_, index) => `reader-${index}`);
    const checks = names.map((name) => new DeliveryCheck(name, system.order));
    const group = new ReaderGroup(checks, failed);
    const opening = names.map((readerAgentId, index) => () => {
      const check = checks[index];
      const arrived = (sender: string, number: number) => {
        check?.arrived(sender, number);
        if (index === 0) onMessage?.(number);
      };
      return client.openReader({ channel, from, readerAgentId, onMessage: arrived, onError });
    });
    for (let first = 0; first < count; first += openTogether) {
      const readers = opening.slice(first, first + openTogether).map((open) => open());
      group.#readers.push(...(await Promise.all(readers)));
    }
    return group;
  }

  /** How many messages the slowest reader has been handed. */
  readonly slowest = (): number => {
    let slowest = Number.POSITIVE_INFINITY;
    for (const { count } of this.#checks) slowest = Math.min(slowest, count);
    return slowest;
  };

  /** Waits until every reader has been handed so many messages. Rejects when one fails, or after a minute. */
  async reached(count: number): Promise<void> {
    const all = Promise.all(this.#checks.map((check) => check.reached(count)));
    const what = `delivering ${count} messages`;
    try {
      await within(deliveryTimeoutMs, what, Promise.race([all, this.#failed]));
    } catch (error) {
      // A message that was lost explains the waiting.
      this.assertComplete(count);
      throw error;
    }
  }

  /** Throws when anything was lost, doubled or reordered. Answers the number of deliveries checked. */
  assertComplete(count: number): number {
    for (const check of this.#checks) check.assertComplete(count);
    return count * this.#checks.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader[Symbol.asyncDispose]()));
  }
}
