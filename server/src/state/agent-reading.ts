/** What subscriptions of an agent that ask for the same were handed, as the journal keeps it. Sequences are in decimal. */
export interface StretchRecord {
  /** The contract's SignalFilter, encoded, in base64; empty for none, undefined where it is too large to be kept. */
  readonly filter: string | undefined;
  readonly includeOwn: boolean;
  /** Exclusive. */
  readonly after: string;
  readonly through: string;
  /** By when everything through a sequence had been handed over, in milliseconds on the wall clock; ascending, thinned out. */
  readonly times: readonly (readonly [sequence: string, timeMs: number])[];
  /** Signals that name the agent and were handed over ahead of `through`, as the order of priority does; the last ones. Unset for none. */
  readonly ahead?: readonly string[];
}

/** What one agent was handed by one server, as the journal keeps it. */
export interface ReadingRecord {
  readonly stretches: readonly StretchRecord[];
  /** When signals were handed over that name the agent, each for itself; the last ones. */
  readonly directed: readonly (readonly [sequence: string, timeMs: number])[];
}

/** What a subscription asks for, as far as it decides what the agent gets. */
export interface StretchWish {
  readonly filter: string | undefined;
  readonly includeOwn: boolean;
  /** Where it starts, exclusive. */
  readonly startSequence: bigint;
  /** It starts from a cursor: whoever holds one was handed everything before it. */
  readonly isResumed: boolean;
}

const maxStretches = 16;
const maxTimes = 32;
const maxDirected = 256;

/** What one subscription, or a chain of resumed ones, was handed. */
interface Stretch {
  readonly filter: string | undefined;
  readonly includeOwn: boolean;
  readonly after: bigint;
  through: bigint;
  times: (readonly [sequence: bigint, timeMs: number])[];
  ahead: readonly bigint[];
  /** A subscription goes on with it now. */
  isOpen: boolean;
}

/**
 * What one agent was handed by this server: stretches of the log, one for each subscription or chain of resumed ones, so that it
 * costs the same whether a stretch is ten signals or a million. Which signals of a stretch were handed over its filter tells.
 */
export class AgentReading {
  #stretches: Stretch[];
  #directed: (readonly [sequence: bigint, timeMs: number])[];

  constructor(record: ReadingRecord = { stretches: [], directed: [] }) {
    this.#stretches = record.stretches.map((stretch) => ({
      ...stretch,
      after: BigInt(stretch.after),
      through: BigInt(stretch.through),
      times: stretch.times.map(([sequence, timeMs]) => [BigInt(sequence), timeMs] as const),
      ahead: (stretch.ahead ?? []).map(BigInt),
      isOpen: false,
    }));
    this.#directed = record.directed.map(([sequence, timeMs]) => [BigInt(sequence), timeMs] as const);
  }

  /** Takes part in what the agent is handed; `onChange` is called whenever something was. */
  open(wish: StretchWish, nowMs: number, onChange: () => void = ignore): OpenReading {
    const stretch = this.#resumed(wish, nowMs) ?? this.#begun(wish);
    stretch.isOpen = true;
    return new OpenReading(this, stretch, onChange);
  }

  toRecord(): ReadingRecord {
    return {
      stretches: this.#stretches.map(({ filter, includeOwn, after, through, times, ahead }) => ({
        filter,
        includeOwn,
        after: String(after),
        through: String(through),
        times: times.map(([sequence, timeMs]) => [String(sequence), timeMs] as const),
        ...(ahead.length > 0 && { ahead: ahead.map(String) }),
      })),
      directed: this.#directed.map(([sequence, timeMs]) => [String(sequence), timeMs] as const),
    };
  }

  #resumed({ filter, includeOwn, startSequence, isResumed }: StretchWish, nowMs: number): Stretch | undefined {
    const found = this.#stretches.findLast(
      (stretch) =>
        !stretch.isOpen &&
        stretch.filter === filter &&
        stretch.includeOwn === includeOwn &&
        startSequence >= stretch.after &&
        (isResumed || startSequence <= stretch.through),
    );
    if (found !== undefined && startSequence > found.through) passThrough(found, startSequence, nowMs);
    return found;
  }

  #begun({ filter, includeOwn, startSequence }: StretchWish): Stretch {
    const stretch: Stretch = {
      filter,
      includeOwn,
      after: startSequence,
      through: startSequence,
      times: [],
      ahead: [],
      isOpen: false,
    };
    this.#stretches.push(stretch);
    if (this.#stretches.length > maxStretches) {
      const oldest = this.#stretches.findIndex(({ isOpen }) => !isOpen);
      this.#stretches.splice(Math.max(0, oldest), 1);
    }
    return stretch;
  }

  /** Notes that signals that name the agent were handed over. */
  noteDirected(directed: readonly bigint[], timeMs: number): void {
    for (const sequence of directed) this.#directed.push([sequence, timeMs]);
    if (this.#directed.length > 2 * maxDirected) this.#directed = this.#directed.slice(-maxDirected);
  }
}

/** One subscription's part in what its agent was handed. */
export class OpenReading {
  readonly #reading: AgentReading;
  readonly #stretch: Stretch;
  readonly #onChange: () => void;

  constructor(reading: AgentReading, stretch: Stretch, onChange: () => void) {
    this.#reading = reading;
    this.#stretch = stretch;
    this.#onChange = onChange;
  }

  /** Notes that everything through a sequence was handed over that it asked for, with these signals that name the agent. */
  delivered(throughSequence: bigint, directed: readonly bigint[], nowMs: number): void {
    const stretch = this.#stretch;
    if (throughSequence > stretch.through) passThrough(stretch, throughSequence, nowMs);
    if (directed.length + stretch.ahead.length > 0) {
      stretch.ahead = [...stretch.ahead, ...directed].filter((each) => each > stretch.through).slice(-maxDirected);
    }
    this.#reading.noteDirected(directed, nowMs);
    this.#onChange();
  }

  close(): void {
    this.#stretch.isOpen = false;
  }
}

function passThrough(stretch: Stretch, throughSequence: bigint, timeMs: number): void {
  stretch.through = throughSequence;
  stretch.times.push([throughSequence, timeMs]);
  if (stretch.times.length <= maxTimes) return;
  // Of the older ones every second goes: what it said is then said a little later, by the one behind it.
  const recent = stretch.times.length - maxTimes / 2;
  stretch.times = stretch.times.filter((_, index) => index >= recent || index % 2 === 1);
}

function ignore(): void {}
