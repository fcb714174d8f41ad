/** A dependency that somebody waits for. */
export interface DependencyConditionRecord {
  readonly kind: "dependency";
  readonly dependencyType: string;
  readonly dependencyId: string;
  /** The agents expected to resolve it; empty where nobody is named. */
  readonly expectedFrom: readonly string[];
}

/** A milestone of an agent that somebody waits for. */
export interface AgentConditionRecord {
  readonly kind: "agent";
  readonly agentId: string;
  readonly milestone: "initialized" | "completed";
  /** Undefined where any quality will do. */
  readonly minQualityScore?: number | undefined;
}

/** A signal that somebody waits for. */
export interface SignalConditionRecord {
  readonly kind: "signal";
  /** The contract's SignalFilter, encoded, in base64. */
  readonly filter: string;
  /** Its senders: names and globs; empty for anybody. */
  readonly senders: readonly string[];
  /** Bit per SignalType that can match. */
  readonly typeMask: number;
  /** The sequence of the request that the signal replies to, in decimal; undefined where any will do that matches. */
  readonly replyTo?: string | undefined;
}

/** One thing that somebody waits for. */
export type WaitConditionRecord = DependencyConditionRecord | AgentConditionRecord | SignalConditionRecord;

/** A wait that is open. */
export interface WaitRecord {
  readonly waitId: string;
  readonly agentId: string;
  readonly conditions: readonly WaitConditionRecord[];
  readonly mode: "all" | "any" | "atLeast";
  /** How many conditions have to be met. */
  readonly needed: number;
  /** Whether the agent goes on with other work meanwhile. */
  readonly independent: boolean;
  readonly startTimeMs: number;
  readonly expireTimeMs: number;
  /** The server that holds the call. */
  readonly owner: string;
  /** Signals that have met conditions of the kind "signal", in decimal, by the conditions' places. */
  readonly matched: Readonly<Record<string, string>>;
}

/*
 * Where several servers share a store, open waits are journal records of the kind "wait", beside one record for each server
 * that has any, with the time of its last heartbeat: the waits of a server that is gone go with it. Elsewhere a wait lives as
 * long as the process that holds its call, and nothing is stored.
 */

const waitPrefix = "wait/";
const ownerPrefix = "owner/";

/** The journal key of a wait. */
export function waitKey(waitId: string): string {
  return `${waitPrefix}${waitId}`;
}

/** The journal key of a server's heartbeat. */
export function waitOwnerKey(owner: string): string {
  return `${ownerPrefix}${owner}`;
}

/** What a journal key of the kind "wait" names. */
export function parseWaitKey(key: string): { readonly of: "wait" | "owner"; readonly id: string } {
  return key.startsWith(ownerPrefix)
    ? { of: "owner", id: key.slice(ownerPrefix.length) }
    : { of: "wait", id: key.slice(waitPrefix.length) };
}

/** Orders waits by when they began, the oldest first; everybody agrees on it. */
export function compareWaits(a: WaitRecord, b: WaitRecord): number {
  return a.startTimeMs - b.startTimeMs || (a.waitId < b.waitId ? -1 : 1);
}
