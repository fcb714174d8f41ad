import type { AcknowledgedSubscriptions } from "../delivery/acknowledged/acknowledged-subscriptions.js";
import type { NamedVerdict } from "../delivery/acknowledged/named-verdicts.js";
import type { StretchVerdict } from "../delivery/delivery-verdict.js";
import { placeOf, type SignalPlace, signalAtSequence, signalWithId, storedSignal } from "../delivery/find-signal.js";
import { judgedSignal, type ReceiptEnvironment, type Receipts, receiptsOf, verdictsOn } from "../delivery/receipts.js";
import type { HiddenValues } from "../model/transform/hidden-values.js";
import type { AgentView } from "../registry/agent-state.js";
import type { SessionDirectory } from "../state/session-directory.js";
import type { SessionState } from "../state/session-state.js";
import type { SignalStore } from "../store/signal-store.js";
import { type ExistingSession, existingSession } from "./existing-session.js";
import type { RegisteredAgents } from "./registered-agents.js";
import { type ReadTimeline, readTimeline, type TimelineRequest } from "./timeline/read-timeline.js";
import { shownConditions } from "./waits/shown-conditions.js";
import { type UnreportedAgent, unreportedAgents } from "./waits/unreported-agents.js";
import { type WaitGraph, waitGraphOf } from "./waits/wait-graph.js";
import type { WaitWorld } from "./waits/wait-world.js";

/** What reports are made with. */
export interface CoordinationReportsOptions extends ReceiptEnvironment {
  readonly store: SignalStore;
  readonly directory: SessionDirectory;
  readonly acknowledged: AcknowledgedSubscriptions;
  readonly agents: RegisteredAgents;
  readonly worldOf: (session: SessionState) => WaitWorld;
  readonly hidden: HiddenValues;
}

/** Whose deliveries to explain. */
export type SignalReaderName = { readonly agentId: string } | { readonly subscription: string };

/** What became of a signal on its way to a reader. */
export interface ExplainedDelivery {
  readonly place: SignalPlace;
  /** At the subscriptions that have no name. */
  readonly verdicts: readonly StretchVerdict[];
  readonly named: readonly NamedVerdict[];
}

/** Tells people what is going on in a coordination, and why. It changes nothing. */
export class CoordinationReports {
  readonly #options: CoordinationReportsOptions;

  constructor(options: CoordinationReportsOptions) {
    this.#options = options;
  }

  /** Who waits for what. Throws COORDINATION_NOT_FOUND where nobody waits and there is no coordination. */
  waitGraph(coordinationId: string): Promise<{ readonly graph: WaitGraph; readonly agents: readonly AgentView[] }> {
    return this.#options.directory.withLatest(coordinationId, (session) => {
      if (session.waits.size === 0) existingSession(session);
      return { graph: this.waitGraphOf(session), agents: this.#options.agents.of(session) };
    });
  }

  /** Who waits for what in a coordination at hand. */
  waitGraphOf(session: SessionState): WaitGraph {
    const { worldOf, hidden } = this.#options;
    const graph = waitGraphOf(worldOf(session));
    const waits = graph.waits.map((view) => {
      const conditions = shownConditions(view.record.conditions, hidden);
      return { ...view, record: { ...view.record, conditions } };
    });
    return { ...graph, waits };
  }

  /** Who has not reported in a coordination at hand. */
  unreportedIn(session: SessionState): readonly UnreportedAgent[] {
    return unreportedAgents(this.#options.worldOf(session));
  }

  /** What happened in a coordination, by agents. Throws COORDINATION_NOT_FOUND. */
  timeline(
    coordinationId: string,
    request: TimelineRequest,
  ): Promise<{ readonly timeline: ReadTimeline; readonly agents: readonly AgentView[] }> {
    return this.#look(coordinationId, async ({ session, header }) => {
      const place = { session, header, world: this.#options.worldOf(session) };
      const timeline = await readTimeline(this.#options, place, request);
      return { timeline, agents: this.#options.agents.of(session) };
    });
  }

  /** What became of a signal, by its sequence or its id, at its recipients. Throws COORDINATION_NOT_FOUND, SIGNAL_NOT_FOUND. */
  receipts(coordinationId: string, name: bigint | string): Promise<Receipts> {
    const { reader } = this.#options;
    return this.#look(coordinationId, async ({ session, header }) => {
      const entry = await (typeof name === "bigint"
        ? signalAtSequence(reader, header, name)
        : signalWithId(reader, header, name));
      return receiptsOf(this.#options, session, entry);
    });
  }

  /**
   * What a reader's subscriptions made of a signal. Of one that has left the history, what named ones keep of it. Throws
   * COORDINATION_NOT_FOUND, SUBSCRIPTION_NOT_FOUND, FILTER_BUDGET_EXCEEDED.
   */
  explainDelivery(
    coordinationId: string,
    { sequence, reader }: { readonly sequence: bigint; readonly reader: SignalReaderName },
  ): Promise<ExplainedDelivery> {
    const { acknowledged } = this.#options;
    return this.#look(coordinationId, async ({ session, header }) => {
      const place = placeOf(header, sequence);
      if (place === "rolledBack" || place === "notSent") return { place, verdicts: [], named: [] };
      // Named subscriptions read on what has left the history, for as long as the store has it.
      const entry = await storedSignal(this.#options.reader, header, sequence);
      const judged = entry && judgedSignal(this.#options, entry);
      const signal = { sequence, judged };
      if ("subscription" in reader) {
        const verdict = await acknowledged.explain(session, reader.subscription, signal);
        return { place, verdicts: [], named: verdict === undefined ? [] : [verdict] };
      }
      const { agentId } = reader;
      const named = await acknowledged.explainForAgent(session, agentId, signal);
      const verdicts =
        judged === undefined || place === "trimmed" ? [] : verdictsOn(this.#options, session, { judged, agentId });
      return { place, verdicts, named };
    });
  }

  #look<T>(coordinationId: string, read: (existing: ExistingSession) => Promise<T>): Promise<T> {
    return this.#options.directory.withLatest(coordinationId, (session) => read(existingSession(session)));
  }
}
