import type { MetricsCollector } from "../metrics/metrics-collector.js";
import type { PreparedSignal } from "../model/prepared-signal.js";
import type { AgentValidationOptions } from "../registry/agent-validation.js";
import type { Operation } from "../state/operation.js";
import type { SessionDirectory } from "../state/session-directory.js";
import { type AppendOutcome, appendAtomically, appendSignals } from "./append-signals.js";
import { SendOrder } from "./send-order.js";
import type { StoredSignal } from "./stored-signal.js";

/** What the appender works with. */
export interface SignalAppenderOptions {
  readonly directory: SessionDirectory;
  readonly metrics: MetricsCollector;
  readonly validation: AgentValidationOptions;
}

/** Sends that stand in their coordinations' queues: whatever is begun after them is stored after them. */
export interface BegunSends<T> {
  /** What became of them, once that is durable. */
  readonly result: Promise<T>;
}

/** Brings signals into the logs of their coordinations. */
export class SignalAppender {
  readonly #options: SignalAppenderOptions;

  constructor(options: SignalAppenderOptions) {
    this.#options = options;
  }

  /**
   * Begins to store signals of any coordinations, each for itself; those of one coordination keep their order. The result
   * does not reject: whatever fails is an outcome.
   */
  begin(
    signals: readonly PreparedSignal[],
    order = new SendOrder(),
  ): BegunSends<readonly AppendOutcome[]> | Promise<BegunSends<readonly AppendOutcome[]>> {
    const only = onlyCoordination(signals);
    return only === undefined ? this.#beginGroups(signals, order) : this.#beginGroup(only, signals, order);
  }

  /**
   * Begins to store signals of one coordination adjacent, all or none. The result rejects with the first refusal, metadata
   * `index`.
   */
  async beginAtomically(
    signals: readonly PreparedSignal[],
    order = new SendOrder(),
  ): Promise<BegunSends<readonly StoredSignal[]>> {
    const coordinationId = signals[0]?.facts.coordinationId ?? "";
    const begun = await this.#enqueue(coordinationId, appendAtomically(signals, this.#options.validation), order);
    return { result: this.#counted(begun.result) };
  }

  async #beginGroups(
    signals: readonly PreparedSignal[],
    order: SendOrder,
  ): Promise<BegunSends<readonly AppendOutcome[]>> {
    const groups = [...groupsByCoordination(signals)];
    const begun = await Promise.all(groups.map(([id, group]) => this.#beginGroup(id, group.signals, order)));
    return { result: gathered(signals.length, groups, begun) };
  }

  /** At once where the coordination is in memory. */
  #beginGroup(
    coordinationId: string,
    signals: readonly PreparedSignal[],
    order: SendOrder,
  ): BegunSends<readonly AppendOutcome[]> | Promise<BegunSends<readonly AppendOutcome[]>> {
    const begun = this.#enqueue(coordinationId, appendSignals(signals, this.#options.validation), order);
    if (!(begun instanceof Promise)) return { result: this.#outcomes(signals, begun.result) };
    return begun.then(
      ({ result }) => ({ result: this.#outcomes(signals, result) }),
      (error: unknown) => ({ result: Promise.resolve(signals.map(() => ({ error }))) }),
    );
  }

  async #outcomes(
    signals: readonly PreparedSignal[],
    result: Promise<readonly AppendOutcome[]>,
  ): Promise<readonly AppendOutcome[]> {
    try {
      const outcomes = await result;
      for (const { stored } of outcomes) this.#countSent(stored);
      return outcomes;
    } catch (error) {
      return signals.map(() => ({ error }));
    }
  }

  #enqueue<T>(
    coordinationId: string,
    operation: Operation<T>,
    order: SendOrder,
  ): BegunSends<T> | Promise<BegunSends<T>> {
    const begun = this.#options.directory.begin(coordinationId, order.keep(operation));
    if (!(begun instanceof Promise)) return begun;
    return begun.catch((error: unknown) => {
      order.failed(error);
      throw error;
    });
  }

  async #counted(result: Promise<readonly StoredSignal[]>): Promise<readonly StoredSignal[]> {
    const all = await result;
    for (const stored of all) this.#countSent(stored);
    return all;
  }

  #countSent(stored: StoredSignal | undefined): void {
    if (stored?.isDeduplicated === false) this.#options.metrics.signalSent(stored.entry.facts.type, 1);
  }
}

/** The coordination that all of them are of, as nearly always; undefined when they are of several. */
function onlyCoordination(signals: readonly PreparedSignal[]): string | undefined {
  const coordinationId = signals[0]?.facts.coordinationId;
  return signals.every(({ facts }) => facts.coordinationId === coordinationId) ? coordinationId : undefined;
}

/** Signals of one coordination, and their places among all. */
interface Group {
  readonly signals: PreparedSignal[];
  readonly indexes: number[];
}

function groupsByCoordination(signals: readonly PreparedSignal[]): ReadonlyMap<string, Group> {
  const groups = new Map<string, Group>();
  for (const [index, signal] of signals.entries()) {
    const { coordinationId } = signal.facts;
    const group = groups.get(coordinationId) ?? { signals: [], indexes: [] };
    group.signals.push(signal);
    group.indexes.push(index);
    groups.set(coordinationId, group);
  }
  return groups;
}

async function gathered(
  count: number,
  groups: readonly (readonly [string, Group])[],
  begun: readonly BegunSends<readonly AppendOutcome[]>[],
): Promise<readonly AppendOutcome[]> {
  const outcomes = new Array<AppendOutcome>(count);
  for (const [at, [, { indexes }]] of groups.entries()) {
    const results = (await begun[at]?.result) ?? [];
    for (const [position, index] of indexes.entries()) outcomes[index] = results[position] ?? { error: undefined };
  }
  return outcomes;
}
