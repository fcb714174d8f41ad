import type { Clock } from "../model/clock.js";
import {
  agentNotFound,
  deregisterAgent,
  heartbeatAgent,
  type Registration,
  registerAgent,
} from "../registry/agent-registry.js";
import { type AgentLoad, type AgentView, noLoad, type StallLimits } from "../registry/agent-state.js";
import type { AgentRecord } from "../state/agent-record.js";
import type { Draft } from "../state/draft.js";
import { plainOperation } from "../state/operation.js";
import type { SessionDirectory } from "../state/session-directory.js";
import type { SessionState } from "../state/session-state.js";
import { existingSession } from "./existing-session.js";
import { takesNoChanges } from "./takes-no-changes.js";
import { agentLoads } from "./waits/agent-loads.js";
import type { WaitWorld } from "./waits/wait-world.js";

/** What the registered agents are looked after with. */
export interface RegisteredAgentsOptions extends StallLimits {
  readonly directory: SessionDirectory;
  readonly clock: Clock;
  readonly worldOf: (session: SessionState) => WaitWorld;
  readonly isDraining: () => boolean;
}

/** The agents that are registered in coordinations. What changes them throws SHUTTING_DOWN while the server stops. */
export class RegisteredAgents {
  readonly #options: RegisteredAgentsOptions;

  constructor(options: RegisteredAgentsOptions) {
    this.#options = options;
  }

  /** Registers an agent. Throws COORDINATION_CLOSED, TOO_MANY_AGENTS, TOO_MANY_COORDINATIONS. */
  register(coordinationId: string, registration: Registration): Promise<AgentView> {
    return this.#change(coordinationId, (draft) => registerAgent(draft, registration));
  }

  /** Renews an agent's lease. Throws COORDINATION_NOT_FOUND, AGENT_NOT_FOUND. */
  heartbeat(coordinationId: string, agentId: string, progress: string): Promise<AgentView> {
    return this.#change(coordinationId, (draft) => heartbeatAgent(draft, agentId, progress));
  }

  /** Ends an agent's registration. Throws COORDINATION_NOT_FOUND, AGENT_NOT_FOUND. */
  async deregister(coordinationId: string, agentId: string): Promise<void> {
    this.#checkTakesChanges();
    return this.#options.directory.execute(
      coordinationId,
      plainOperation((draft) => deregisterAgent(draft, agentId)),
    );
  }

  /** Reads a registered agent. Throws COORDINATION_NOT_FOUND, AGENT_NOT_FOUND. */
  get(coordinationId: string, agentId: string): Promise<AgentView> {
    return this.#options.directory.withLatest(coordinationId, (found) => {
      const { session } = existingSession(found);
      const record = session.agents.get(agentId);
      if (!record?.isRegistered) throw agentNotFound(coordinationId, agentId);
      return this.#view(session, record);
    });
  }

  /** Those of a coordination at hand, by name. */
  of(session: SessionState): readonly AgentView[] {
    const registered = [...session.agents.values()].filter((record) => record.isRegistered);
    registered.sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
    const loads = agentLoads(this.#options.worldOf(session));
    return registered.map((record) => this.#view(session, record, loads));
  }

  async #change(coordinationId: string, run: (draft: Draft) => AgentRecord): Promise<AgentView> {
    this.#checkTakesChanges();
    const { directory } = this.#options;
    return directory.with(coordinationId, async (session) => {
      const record = await directory.execute(coordinationId, plainOperation(run));
      return this.#view(session, record);
    });
  }

  #checkTakesChanges(): void {
    if (this.#options.isDraining()) throw takesNoChanges();
  }

  #view(
    session: SessionState,
    record: AgentRecord,
    loads: ReadonlyMap<string, AgentLoad> = agentLoads(this.#options.worldOf(session)),
  ): AgentView {
    const load = loads.get(record.agentId) ?? noLoad;
    return { record, activity: session.activity, nowMs: this.#options.clock.nowMs(), load, limits: this.#options };
  }
}
