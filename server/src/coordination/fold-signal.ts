import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { defaultLeaseMs, maxDependenciesPerCoordination } from "../model/limits.js";
import type { LogEntry } from "../model/log-entry.js";
import { isProgressDue, knownOrNewAgent, movedAgent } from "../registry/agent-registry.js";
import type { AgentRecord } from "../state/agent-record.js";
import type { Draft } from "../state/draft.js";
import { dependencyRecord, progressAfter } from "./derived-state.js";

/** Adds to a draft what a signal says about its sender and about dependencies. Throws TOO_MANY_AGENTS. */
export function foldSignal(draft: Draft, entry: LogEntry): void {
  const known = knownOrNewAgent(draft, entry.facts.senderAgentId, defaultLeaseMs);
  const sender = known.firstSequence === undefined ? { ...known, firstSequence: String(entry.sequence) } : known;
  // Messages say nothing of agents and dependencies, and most signals are messages.
  const isMessage = entry.facts.type === SignalType.INTER_AGENT_MESSAGE;
  const changed = isMessage ? sender : changedByEvent(draft, sender, entry);
  if (changed !== known || isProgressDue(draft, known)) draft.putAgent(movedAgent(draft, changed));
}

function changedByEvent(draft: Draft, sender: AgentRecord, entry: LogEntry): AgentRecord {
  const dependency = dependencyRecord(entry);
  if (dependency !== undefined) draft.putDependency(dependency, maxDependenciesPerCoordination);
  const progress = progressAfter(sender, entry);
  if (progress === undefined) return sender;
  const { event } = entry.signal;
  if (event.case !== "agentInitialized") return { ...sender, ...progress };
  const { capabilities } = event.value;
  const registeredAfter = sender.isRegistered ? sender.registeredAfter : String(entry.sequence);
  const registration = { isRegistered: true, registerTimeMs: draft.nowMs, registeredAfter };
  return { ...sender, ...registration, capabilities, progress: "", ...progress };
}
