import type { CoordinationSignal } from "@coordination-signals/client";
import { dependencyTypes, variantOfDependency } from "../workflow/vocabulary.js";

/** A signal, as far as a timeline shows it. */
export interface TimelineEntry {
  readonly agentId: string;
  /** When the server accepted it, in milliseconds since 1970. */
  readonly timeMs: number;
  /** What it is, in few words: signals of one agent and kind are shown as one line. */
  readonly kind: string;
  /** Whether it is shown by itself, and ends what its agent did before: a start or a completion. */
  readonly isMilestone: boolean;
  /** What it is about. */
  readonly detail: string;
}

/** Reads what a timeline shows of a signal. */
export function timelineEntryFrom(signal: CoordinationSignal): TimelineEntry {
  return { agentId: signal.senderAgentId, timeMs: timeMsOf(signal), ...descriptionOf(signal) };
}

function timeMsOf({ timestamp }: CoordinationSignal): number {
  return timestamp === undefined ? 0 : Number(timestamp.seconds) * 1_000 + timestamp.nanos / 1_000_000;
}

function descriptionOf({ event, recipientAgentIds }: CoordinationSignal) {
  switch (event.case) {
    case "agentInitialized":
      return { kind: "ready", isMilestone: true, detail: event.value.capabilities.join(", ") };
    case "agentCompleted": {
      const { error, qualityScore, resultSummary } = event.value;
      const quality = qualityScore === undefined ? "" : `quality ${rounded(qualityScore)}: `;
      const [headline = ""] = resultSummary.split("\n");
      const kind = error === undefined ? "completed" : "failed";
      return { kind, isMilestone: true, detail: error ?? `${quality}${headline}` };
    }
    case "dependencyResolved": {
      const { dependencyType, dependencyId } = event.value;
      const variant = dependencyType === dependencyTypes.validator ? variantOfDependency(dependencyId) : undefined;
      return variant === undefined
        ? { kind: dependencyType, isMilestone: false, detail: dependencyId }
        : { kind: "variant validator", isMilestone: false, detail: variant };
    }
    case "interAgentMessage": {
      const { messageType, message } = event.value;
      const kind = recipientAgentIds.length === 0 ? messageType : `${messageType} to ${recipientAgentIds.join(", ")}`;
      return { kind, isMilestone: false, detail: message };
    }
    case undefined:
      return { kind: "signal of a newer type", isMilestone: false, detail: "" };
  }
}

/** Rounded down: quality 1 is said only when it is. */
function rounded(qualityScore: number): string {
  return String(Math.floor(qualityScore * 1000) / 1000);
}
