import { distance } from "fastest-levenshtein";
import { CoordinationError } from "../model/coordination-error.js";
import { maxComparedAgents, maxSuggestedAgents, maxSuggestedCharacters } from "../model/limits.js";
import { isKnownAgent } from "../state/agent-record.js";
import type { Draft } from "../state/draft.js";

/** What happens to a signal or a wait that names an agent which is not known: nothing, a line in the log, or refusal. */
export type ValidationPolicy = "off" | "warn" | "enforce";

/** Told of what `warn` lets pass. */
export type WarningSink = (warning: {
  readonly message: string;
  readonly coordinationId: string;
  readonly agentId: string;
}) => void;

/** Which agents may send and be addressed. */
export interface AgentValidationOptions {
  readonly senderValidation: ValidationPolicy;
  readonly recipientValidation: ValidationPolicy;
  readonly waitValidation: ValidationPolicy;
  readonly onWarning: WarningSink;
  /** Whether an agent's lease still runs. */
  readonly isLive: (draft: Draft, agentId: string) => boolean;
}

/** A signal's addresses, as far as validation is concerned. */
export interface AddressedSignal {
  readonly coordinationId: string;
  readonly senderAgentId: string;
  readonly recipientAgentIds: readonly string[];
}

/**
 * Checks a signal's sender and recipients; an initialization registers its sender, so it is always admitted. Throws
 * AGENT_NOT_REGISTERED or AGENT_NOT_FOUND where the policy enforces.
 */
export function validateAgents(
  draft: Draft,
  signal: AddressedSignal,
  isInitialization: boolean,
  options: AgentValidationOptions,
): void {
  if (options.senderValidation !== "off" && !isInitialization) checkSender(draft, signal, options);
  if (options.recipientValidation === "off") return;
  for (const agentId of signal.recipientAgentIds) {
    if (agentId === signal.senderAgentId || isKnownAgent(draft.agent(agentId))) continue;
    if (options.recipientValidation === "enforce")
      throw unknownAgentNamed(draft, `recipient "${agentId}"`, agentId, options);
    options.onWarning({ message: "signal to an unknown agent", coordinationId: signal.coordinationId, agentId });
  }
}

/** A wait's agents, as far as validation is concerned. */
export interface WaitingAgents {
  readonly waiterId: string;
  /** The agents that its conditions name. */
  readonly awaitedIds: readonly string[];
}

/** Checks who waits and for whom. Throws AGENT_NOT_REGISTERED or AGENT_NOT_FOUND where the policy enforces. */
export function validateWait(
  draft: Draft,
  { waiterId, awaitedIds }: WaitingAgents,
  options: AgentValidationOptions,
): void {
  if (options.senderValidation === "enforce" && !draft.agent(waiterId)?.isRegistered) {
    throw agentNotRegistered(draft.coordinationId, `waiting agent "${waiterId}"`, waiterId);
  }
  if (options.waitValidation === "off") return;
  for (const agentId of awaitedIds) {
    if (isKnownAgent(draft.agent(agentId))) continue;
    if (options.waitValidation === "enforce")
      throw unknownAgentNamed(draft, `awaited agent "${agentId}"`, agentId, options);
    options.onWarning({ message: "wait for an unknown agent", coordinationId: draft.coordinationId, agentId });
  }
}

/** Whether waits are checked before they begin. */
export function checksWaits({ senderValidation, waitValidation }: AgentValidationOptions): boolean {
  return senderValidation === "enforce" || waitValidation !== "off";
}

function agentNotRegistered(coordinationId: string, who: string, agentId: string): CoordinationError {
  return new CoordinationError(
    "AGENT_NOT_REGISTERED",
    `${who} is not registered in coordination "${coordinationId}": register it or send agent_initialized first`,
    { metadata: { agent_id: agentId } },
  );
}

function checkSender(draft: Draft, signal: AddressedSignal, options: AgentValidationOptions): void {
  const agentId = signal.senderAgentId;
  const record = draft.agent(agentId);
  if (record?.isRegistered) return;
  if (options.senderValidation === "enforce") {
    throw agentNotRegistered(signal.coordinationId, `sender "${agentId}"`, agentId);
  }
  // Once for each sender, not for each of its signals.
  if (record?.firstSequence === undefined) {
    options.onWarning({ message: "signal from an unregistered agent", coordinationId: signal.coordinationId, agentId });
  }
}

function unknownAgentNamed(
  draft: Draft,
  who: string,
  agentId: string,
  options: AgentValidationOptions,
): CoordinationError {
  const names = nearestAgents(draft, agentId);
  const live = names.filter((name) => options.isLive(draft, name));
  const known = names.length === 0 ? "no agent is known yet" : `known agents, nearest first: ${names.join(", ")}`;
  return new CoordinationError(
    "AGENT_NOT_FOUND",
    `${who} was never seen in coordination "${draft.coordinationId}"; ${known}`,
    {
      metadata: {
        agent_id: agentId,
        known_agents: names.join(","),
        live_agents: live.join(","),
        nearest_agent: names[0] ?? "",
      },
    },
  );
}

function nearestAgents(draft: Draft, agentId: string): readonly string[] {
  const names: { readonly name: string; readonly distance: number }[] = [];
  for (const record of draft.agents()) {
    if (!isKnownAgent(record)) continue;
    names.push({ name: record.agentId, distance: distance(agentId, record.agentId) });
    if (names.length === maxComparedAgents) break;
  }
  names.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1));
  return withinCharacters(names.slice(0, maxSuggestedAgents).map(({ name }) => name));
}

function withinCharacters(names: readonly string[]): readonly string[] {
  let characters = 0;
  return names.filter((name) => {
    characters += name.length;
    return characters <= maxSuggestedCharacters;
  });
}
