import { type CoordinationSignal, isOfTypes } from "@coordination-signals/client";
import { messageTypes } from "../workflow/vocabulary.js";
import type { AgentName } from "./agent-names.js";

/** Whom each of two agents is told to let go first: the other one. */
const turns: Readonly<Partial<Record<AgentName, AgentName>>> = {
  "model-generator": "validator-generator",
  "validator-generator": "model-generator",
};

/** The arguments that make an agent part of the deadlock. */
export function deadlockArgs(name: AgentName): readonly string[] {
  const other = turns[name];
  return other === undefined ? [] : ["--after", other];
}

/** What became of the deadlock: who was refused, with the path of the loop. Undefined when nobody was, as must not be. */
export function deadlockText(signals: readonly CoordinationSignal[]): string | undefined {
  const refusals = signals.filter(
    (signal) =>
      isOfTypes(signal, ["interAgentMessage"]) && signal.event.value.messageType === messageTypes.deadlockRefused,
  );
  if (refusals.length === 0) return undefined;
  return [
    `${Object.keys(turns).join(" and ")} were each told to begin when the other one has completed:`,
    ...refusals.map(({ senderAgentId, event }) => {
      const message = event.case === "interAgentMessage" ? event.value.message : "";
      return `  the wait of ${senderAgentId} was refused (${message}), so it went first`;
    }),
  ].join("\n");
}
