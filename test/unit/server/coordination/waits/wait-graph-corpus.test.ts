import { describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../../../../server/src/model/coordination-error.js";
import { CoordinatorUnderTest } from "../../../../support/coordinator-under-test.js";
import { eventually } from "../../../../support/eventually.js";
import { ManualClock } from "../../../../support/manual-clock.js";
import { type CorpusStep, type CorpusWait, waitGraphCorpus } from "../../../../support/wait-graph-corpus.js";
import { completed, dependencyOf, messageFrom, waitRequest } from "../../../../support/wait-requests.js";

const leaseMs = 60_000;

/** Runs the steps of a case on a coordinator and keeps what becomes of each wait. */
class CorpusRun {
  readonly #subject: CoordinatorUnderTest;
  readonly #clock: ManualClock;
  readonly #aborts: AbortController[] = [];
  readonly #ended: Promise<unknown>[] = [];
  readonly #agents = new Map<string, readonly string[]>();
  readonly #waitIds = new Map<string, string>();
  readonly outcomes = new Map<string, string>();

  constructor(subject: CoordinatorUnderTest, clock: ManualClock) {
    this.#subject = subject;
    this.#clock = clock;
  }

  async run(step: CorpusStep): Promise<void> {
    if ("wait" in step) return this.#wait(step);
    if ("register" in step) return this.#register(step.register, step.provides ?? []);
    if ("goOffline" in step) return this.#goOffline(step.goOffline);
    if ("resolve" in step) {
      const value = { dependencyType: "d", dependencyId: step.resolve };
      return this.#send(step.by, { case: "dependencyResolved", value });
    }
    if ("complete" in step) {
      const value = step.error === undefined ? {} : { error: step.error };
      return this.#send(step.complete, { case: "agentCompleted", value });
    }
    return this.#send(step.by, { case: "interAgentMessage", value: { messageType: step.message, message: "" } });
  }

  /** The open waits by the names of the case. */
  async graph() {
    const { graph } = await this.#subject.coordinator.reports.waitGraph("c");
    const nameOf = new Map([...this.#waitIds].map(([name, waitId]) => [waitId, name]));
    return graph.waits.map((view) => ({ ...view, name: nameOf.get(view.record.waitId) ?? "" }));
  }

  async leave(): Promise<void> {
    for (const abort of this.#aborts) abort.abort();
    await Promise.all(this.#ended);
  }

  async #wait({ wait, agent, on, mode = "all", independent = false }: CorpusWait): Promise<void> {
    const abort = new AbortController();
    this.#aborts.push(abort);
    const conditions = on.map((condition) => {
      if ("completed" in condition) return completed(condition.completed);
      if ("dependency" in condition) return dependencyOf("d", condition.dependency, condition.from);
      return messageFrom(condition.message, condition.from);
    });
    const request = waitRequest({ agentId: agent, conditions, mode, independent });
    const ended = this.#subject.coordinator.waits.waitFor(request, abort.signal).then(
      () => this.outcomes.set(wait, "answered"),
      (error: unknown) => this.outcomes.set(wait, outcomeOf(error)),
    );
    this.#ended.push(ended);
    await eventually(async () => {
      if (this.outcomes.has(wait)) return;
      const known = new Set(this.#waitIds.values());
      const { graph } = await this.#subject.coordinator.reports.waitGraph("c");
      const opened = graph.waits.find(({ record }) => !known.has(record.waitId));
      if (opened === undefined) throw new Error(`wait ${wait} has neither opened nor ended`);
      this.#waitIds.set(wait, opened.record.waitId);
    });
  }

  async #register(agentId: string, provides: readonly string[]): Promise<void> {
    this.#agents.set(agentId, provides);
    await this.#subject.coordinator.agents.register("c", {
      agentId,
      capabilities: [],
      provides: provides.map((dependencyId) => ({ dependencyType: "d", dependencyId })),
      metadata: {},
      leaseMs,
    });
  }

  /** Everybody but one is heard of when the lease runs out. */
  async #goOffline(agentId: string): Promise<void> {
    this.#clock.advance(leaseMs + 1);
    for (const other of this.#agents.keys()) {
      if (other !== agentId) await this.#subject.coordinator.agents.heartbeat("c", other, "");
    }
    // A lease that runs out is noticed by a timer; this clock has none, so something else has to happen.
    await this.#register("passer-by", []);
  }

  async #send(senderAgentId: string, event: never | object): Promise<void> {
    await this.#subject.send({ senderAgentId, event: event as never });
  }
}

function outcomeOf(error: unknown): string {
  if (error instanceof CoordinationError && error.reason === "DEADLOCK") return `deadlock ${error.metadata["path"]}`;
  return String(error);
}

describe("the corpus of wait graphs", () => {
  test.each(waitGraphCorpus.map((each) => [each.name, each] as const))("%s", async (_name, graphCase) => {
    const clock = new ManualClock();
    await using subject = new CoordinatorUnderTest({ clock });
    const run = new CorpusRun(subject, clock);
    try {
      for (const step of graphCase.steps) await run.run(step);
      await eventually(async () => {
        const open = await run.graph();
        const verdicts = Object.fromEntries([...open.map(({ name }) => [name, "open"]), ...run.outcomes]);
        expect(verdicts).toEqual(graphCase.verdicts);
        const { orphans } = graphCase;
        if (orphans !== undefined) expect(open.flatMap((view) => (view.isOrphan ? view.name : []))).toEqual(orphans);
      });
    } finally {
      await run.leave();
    }
  });
});
