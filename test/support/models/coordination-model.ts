import type { AgentMilestone } from "../../../server/src/state/agent-record.js";

export type ModelEvent = "resolve" | "initialize" | "complete" | "message";

/** A signal in the model; `subject` names its sender and what it resolves. */
export interface ModelSignal {
  readonly event: ModelEvent;
  readonly subject: number;
  /** Empty for none. */
  readonly requestId: string;
}

interface ModelEntry extends ModelSignal {
  readonly sequence: number;
}

interface ModelAgent {
  readonly isRegistered: boolean;
  readonly milestone: AgentMilestone;
  /** The head when it last registered; what its signals up to there said of its milestone is over. */
  readonly renewedAfter: number;
}

/** What becomes of a signal: its sequence, or the reason why it is refused. */
export type ModelAnswer = number | string;

/** A coordination as it is expected to be: the log as an array from which nothing is ever trimmed, and what it decides. */
export class CoordinationModel {
  head = 0;
  isClosed = false;
  snapshots = 0;
  log: readonly ModelEntry[] = [];
  readonly agents = new Map<string, ModelAgent>();
  readonly #retentionSignals: number;

  constructor(retentionSignals: number) {
    this.#retentionSignals = retentionSignals;
  }

  /** The first sequence in history. */
  get oldest(): number {
    return Math.max(1, this.head - this.#retentionSignals + 1);
  }

  get history(): readonly ModelEntry[] {
    return this.log.filter(({ sequence }) => sequence >= this.oldest);
  }

  /** Sends a signal that expects a head, if it expects any. */
  send(signal: ModelSignal, expectedHead: number | undefined): ModelAnswer {
    const known = this.known(signal);
    if (known !== undefined) return known.event === signal.event ? known.sequence : "REQUEST_ID_REUSED";
    if (this.isClosed) return "COORDINATION_CLOSED";
    if (expectedHead !== undefined && expectedHead !== this.head) return "SEQUENCE_CONFLICT";
    this.head += 1;
    this.log = [...this.log, { ...signal, sequence: this.head }];
    const name = agentName(signal.subject);
    const agent = this.agents.get(name) ?? { isRegistered: false, milestone: "none", renewedAfter: 0 };
    const milestone = milestoneOf(signal.event) ?? agent.milestone;
    const isRegistered = agent.isRegistered || signal.event === "initialize";
    this.agents.set(name, { ...agent, isRegistered, milestone });
    return this.head;
  }

  /** The entry in history that a request of the same sender made. */
  known({ requestId, subject }: ModelSignal): ModelEntry | undefined {
    if (requestId === "") return undefined;
    return this.history.findLast((entry) => entry.requestId === requestId && entry.subject === subject);
  }

  /** Rolls back; answers how many numbers left the log, or why it is refused. */
  rollBack(to: number): ModelAnswer {
    if (to < this.oldest - 1) return "CURSOR_EXPIRED";
    if (to < this.head && to > 0 && !this.log.some(({ sequence }) => sequence === to)) return "ROLLED_BACK";
    const removed = this.log.filter(({ sequence }) => sequence > to).length;
    if (removed === 0) return 0;
    this.log = this.log.filter(({ sequence }) => sequence <= to);
    for (const [name, agent] of [...this.agents]) {
      const sent = this.log.filter(({ subject }) => agentName(subject) === name);
      const counting = sent.filter(({ sequence }) => sequence > agent.renewedAfter);
      const milestone =
        counting.map(({ event }) => milestoneOf(event)).findLast((each) => each !== undefined) ?? "none";
      if (!agent.isRegistered && sent.length === 0) this.agents.delete(name);
      else this.agents.set(name, { ...agent, milestone });
    }
    return removed;
  }

  register(name: string): string {
    if (this.isClosed) return "COORDINATION_CLOSED";
    this.agents.set(name, { isRegistered: true, milestone: "none", renewedAfter: this.head });
    return "";
  }

  deregister(name: string): string {
    const agent = this.agents.get(name);
    if (agent?.isRegistered !== true) return "AGENT_NOT_FOUND";
    const hasSent = this.log.some(({ subject }) => agentName(subject) === name);
    // What its signals have said stays said.
    if (hasSent) this.agents.set(name, { ...agent, isRegistered: false });
    else this.agents.delete(name);
    return "";
  }

  /** The sequence that resolved each dependency last. */
  get dependencies(): Readonly<Record<string, number>> {
    const last: Record<string, number> = {};
    for (const { event, sequence, subject } of this.log) if (event === "resolve") last[`d${subject}`] = sequence;
    return last;
  }

  /** A copy on which an atomic batch can be tried. */
  copy(): CoordinationModel {
    const copy = new CoordinationModel(this.#retentionSignals);
    Object.assign(copy, { head: this.head, isClosed: this.isClosed, snapshots: this.snapshots, log: this.log });
    for (const [name, agent] of this.agents) copy.agents.set(name, agent);
    return copy;
  }
}

export function agentName(subject: number): string {
  return `a${subject}`;
}

function milestoneOf(event: ModelEvent): AgentMilestone | undefined {
  if (event === "initialize") return "initialized";
  return event === "complete" ? "completed" : undefined;
}
