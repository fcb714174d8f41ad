import type { FoundPayloads, Payload, RejectedPayload } from "./payload.js";

/** Payloads by the event type whose contract they have to fulfil, and those without one. */
export interface MatchedPayloads {
  readonly byEventType: ReadonlyMap<string, readonly Payload[]>;
  readonly rejected: readonly RejectedPayload[];
}

/**
 * Gives each payload to an event type: the first of its hints that is one. Where there is only one event type, every payload is
 * of it. A payload of no known event type is rejected by name rather than forgotten.
 */
export function matchPayloads(found: FoundPayloads, eventTypes: readonly string[]): MatchedPayloads {
  const byEventType = new Map<string, Payload[]>(eventTypes.map((eventType) => [eventType, []]));
  const rejected = [...found.rejected];
  const [only] = eventTypes;
  for (const payload of found.payloads) {
    const hinted = payload.eventTypeHints.find((hint) => byEventType.has(hint));
    const eventType = eventTypes.length === 1 ? only : hinted;
    const payloads = eventType === undefined ? undefined : byEventType.get(eventType);
    if (payloads !== undefined) payloads.push(payload);
    else rejected.push({ source: payload.source, reason: `no contract is named ${orOf(payload.eventTypeHints)}` });
  }
  return { byEventType, rejected };
}

function orOf(hints: readonly string[]): string {
  return hints.map((hint) => JSON.stringify(hint)).join(" or ");
}
