import type { CoordinationObserver } from "@coordination-signals/client";
import { AgentTeam, type AgentTeamOptions } from "./agent-team.js";
import type { Progress } from "./progress.js";
import { timelineEntryFrom } from "./timeline-entry.js";

/** A run of the workflow. */
export interface WorkflowRun extends Omit<AgentTeamOptions, "onNote" | "onFinished"> {
  /** A view on the coordination, which has not begun yet. */
  readonly observer: CoordinationObserver;
  readonly progress: Progress;
  readonly timeoutSeconds: number;
  /** Stops all agents. */
  readonly signal: AbortSignal;
}

/**
 * Runs the four agents to their ends and shows what they signal. An agent that fails without a word to the others ends them
 * all; one that completed with an error does not.
 * @returns what failed, for people; empty when the workflow went well.
 * @throws the signal's reason when it is aborted, and CoordinationClientError when the server cannot be read.
 */
export async function runWorkflow(run: WorkflowRun): Promise<string[]> {
  const { observer, progress, timeoutSeconds } = run;
  const finished = new AbortController();
  const timeout = AbortSignal.timeout(timeoutSeconds * 1_000);
  const signal = AbortSignal.any([run.signal, finished.signal, timeout]);
  await using team = new AgentTeam({
    ...run,
    onNote: (text) => progress.note(text),
    onFinished: () => finished.abort(),
  });
  await using signals = observer.subscribe({ from: "earliest", signal });
  team.start();
  for await (const next of signals) {
    progress.show(timelineEntryFrom(next));
    team.react(next);
  }
  run.signal.throwIfAborted();
  if (finished.signal.aborted) return [...team.failures];
  const missing = team.uncompleted.join(", ");
  if (timeout.aborted) return [...team.failures, `${missing} did not complete within ${timeoutSeconds} s`];
  return [...team.failures, `the coordination was closed before ${missing} completed`];
}
