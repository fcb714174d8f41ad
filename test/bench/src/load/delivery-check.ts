/*
 * Every reader of a run checks every message it is handed: from each sender the numbers 1, 2, 3 ... arrive each once, in
 * this order. A system that does not promise to keep the order of a sender's messages in flight is held to "each once".
 * The first fault is kept; the run fails with it.
 */

/** What a reader is held to. */
export type ExpectedOrder = "published" | "any";

/** Numbers of one sender that arrived out of turn and wait for those before them; more are a loss. */
const maxOutOfTurn = 100_000;

interface SenderProgress {
  /** The lowest number that has not arrived. */
  next: number;
  readonly outOfTurn: Set<number>;
}

interface Target {
  readonly count: number;
  readonly resolve: () => void;
}

/** Counts and checks what one reader is handed. */
export class DeliveryCheck {
  readonly #reader: string;
  readonly #order: ExpectedOrder;
  readonly #senders = new Map<string, SenderProgress>();
  #target: Target | undefined;
  #count = 0;
  #fault: string | undefined;

  constructor(reader: string, order: ExpectedOrder) {
    this.#reader = reader;
    this.#order = order;
  }

  /** Messages that have arrived. */
  get count(): number {
    return this.#count;
  }

  /** What was lost, doubled or reordered first; undefined when all is well so far. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Takes note of one message. */
  arrived(senderAgentId: string, number: number): void {
    this.#count += 1;
    const sender = this.#senders.get(senderAgentId) ?? this.#addSender(senderAgentId);
    if (number === sender.next) this.#advance(sender);
    else this.#arrivedOutOfTurn(sender, senderAgentId, number);
    const target = this.#target;
    if (target !== undefined && this.#count >= target.count) {
      this.#target = undefined;
      target.resolve();
    }
  }

  /** Resolves when this many messages have arrived, at once when they have. One may wait at a time. */
  reached(count: number): Promise<void> {
    if (this.#count >= count) return Promise.resolve();
    if (this.#target !== undefined) throw new Error(`${this.#reader} is waited for already`);
    return new Promise((resolve) => {
      this.#target = { count, resolve };
    });
  }

  /** Throws unless exactly this many messages have arrived, from each sender all. */
  assertComplete(count: number): void {
    const missing = [...this.#senders].find(([, { outOfTurn }]) => outOfTurn.size > 0);
    if (missing !== undefined) this.#fail(`message ${missing[1].next} of ${missing[0]} was lost`);
    if (this.#count !== count) this.#fail(`${this.#count} messages arrived, ${count} were sent`);
    if (this.#fault !== undefined) throw new Error(`${this.#reader}: ${this.#fault}`);
  }

  #addSender(senderAgentId: string): SenderProgress {
    const sender = { next: 1, outOfTurn: new Set<number>() };
    this.#senders.set(senderAgentId, sender);
    return sender;
  }

  #advance(sender: SenderProgress): void {
    sender.next += 1;
    while (sender.outOfTurn.size > 0 && sender.outOfTurn.delete(sender.next)) sender.next += 1;
  }

  #arrivedOutOfTurn(sender: SenderProgress, senderAgentId: string, number: number): void {
    if (number < sender.next || sender.outOfTurn.has(number)) {
      this.#fail(`message ${number} of ${senderAgentId} was doubled or is late, ${sender.next} was due`);
      return;
    }
    if (this.#order === "published") this.#fail(`message ${number} of ${senderAgentId} came before ${sender.next}`);
    if (sender.outOfTurn.size >= maxOutOfTurn) this.#fail(`message ${sender.next} of ${senderAgentId} was lost`);
    else sender.outOfTurn.add(number);
  }

  #fail(fault: string): void {
    this.#fault ??= fault;
  }
}
