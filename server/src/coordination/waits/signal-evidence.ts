import type { Departure } from "../../model/departure.js";
import type { SessionState } from "../../state/session-state.js";
import type { WaitRecord } from "../../state/wait-record.js";
import { SignalMatches } from "./signal-matches.js";
import type { SignalEvidence } from "./wait-admission.js";
import type { WaitEnvironment } from "./wait-environment.js";

/** Before a loop is told, finds out whether signals have come that waits of it ask for and that nobody has looked at yet. */
export class EvidenceGatherer {
  readonly #environment: WaitEnvironment;
  readonly #session: SessionState;
  readonly #matches = new Map<string, SignalMatches>();

  constructor(environment: WaitEnvironment, session: SessionState) {
    this.#environment = environment;
    this.#session = session;
  }

  /** Takes over what a wait's own reader knows. */
  know(wait: WaitRecord, matches: SignalMatches): void {
    this.#matches.set(wait.waitId, matches);
  }

  /** What is known now. */
  get evidence(): ReadonlyMap<string, SignalEvidence> {
    return this.#matches;
  }

  /** Looks at everything that these waits have not seen yet. */
  async gather(waits: readonly WaitRecord[], departure: Departure): Promise<void> {
    for (const wait of waits) {
      const options = { ...this.#environment, session: this.#session, wait };
      const matches = this.#matches.get(wait.waitId) ?? new SignalMatches(options);
      this.#matches.set(wait.waitId, matches);
      await matches.advance(departure);
    }
  }
}
