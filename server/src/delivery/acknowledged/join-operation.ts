import { randomBytes } from "node:crypto";
import { laterOf } from "../../model/cursor.js";
import { maxNamedSubscriptions } from "../../model/limits.js";
import type { Draft } from "../../state/draft.js";
import type { LogReader } from "../../state/log-reader.js";
import { plainOperation } from "../../state/operation.js";
import { placeAt, scanOfPlace } from "../../state/scan-place.js";
import type { SessionState } from "../../state/session-state.js";
import type { SubscriptionDefinition, SubscriptionRecord } from "../../state/subscription-record.js";
import type { CoordinationHeader } from "../../store/signal-store.js";
import { sequenceInLog, startPositions } from "../subscription-start.js";
import type { AcknowledgementEnvironment } from "./acknowledgement-environment.js";
import { filterConflict, subscriptionConflict, tooManyNamedSubscriptions } from "./acknowledgement-errors.js";

/** A named subscription to make or to join. */
export interface NamedRequest {
  readonly name: string;
  readonly definition: SubscriptionDefinition;
  /** Nothing was said of the start: it agrees with any, and begins at the latest. */
  readonly agreesWithAnyStart: boolean;
}

const secretBytes = 16;

/**
 * Makes a subscription unless it is there, and answers it as it is. Rejects with SUBSCRIPTION_CONFLICT where it is there and
 * differs, with TOO_MANY_SUBSCRIPTIONS, TOO_MANY_COORDINATIONS, and where its start is not in the log with CURSOR_AHEAD, CURSOR_EXPIRED,
 * ROLLED_BACK.
 */
export async function joinSubscription(
  { directory, reader, clock }: AcknowledgementEnvironment,
  session: SessionState,
  request: NamedRequest,
): Promise<SubscriptionRecord> {
  const { name } = request;
  const found = session.named.definitions.has(name) ? undefined : await findTime(request, session, reader);
  return directory.execute(
    session.coordinationId,
    plainOperation((draft) => {
      const known = draft.subscriptions.get(name);
      if (known === undefined) return create(draft, request, { found, nowMs: clock.nowMs() });
      checkAgreement(known, request);
      return known;
    }),
  );
}

/** Where a time is in a log, as it was when it was looked for. */
interface FoundTime {
  /** Undefined where the coordination had not begun. */
  readonly epoch: string | undefined;
  readonly afterSequence: bigint;
}

/** Looks for the time that a subscription starts at; undefined where it starts otherwise. */
async function findTime(
  { definition: { start } }: NamedRequest,
  { header }: SessionState,
  reader: LogReader,
): Promise<FoundTime | undefined> {
  if (start.at !== "time") return undefined;
  const [afterSequence = 0n] = await startPositions(start, 1, header, reader);
  return { epoch: header?.epoch, afterSequence };
}

/** The sequence after which a subscription starts in the log as it is. Throws CURSOR_AHEAD, CURSOR_EXPIRED, ROLLED_BACK. */
function startIn(
  header: CoordinationHeader | undefined,
  start: SubscriptionDefinition["start"],
  found: FoundTime | undefined,
): bigint {
  const beforeOldest = (header?.oldestSequence ?? 1n) - 1n;
  switch (start.at) {
    case "latest":
      return header?.headSequence ?? 0n;
    case "earliest":
      return beforeOldest;
    case "sequence":
      return sequenceInLog(BigInt(start.afterSequence), header);
    case "time":
      // The log may have been trimmed since, or be another one. What is earlier than the time does not match anyway.
      return found === undefined || found.epoch !== header?.epoch
        ? beforeOldest
        : laterOf(found.afterSequence, beforeOldest);
  }
}

function create(
  draft: Draft,
  { name, definition }: NamedRequest,
  { found, nowMs }: { readonly found: FoundTime | undefined; readonly nowMs: number },
): SubscriptionRecord {
  const { count } = draft.subscriptions;
  if (count >= maxNamedSubscriptions) throw tooManyNamedSubscriptions(draft.coordinationId, maxNamedSubscriptions);
  const afterSequence = startIn(draft.header, definition.start, found);
  const secret = randomBytes(secretBytes).toString("base64url");
  const record = { ...definition, name, createTimeMs: nowMs, secret, startSequence: String(afterSequence) };
  draft.begin();
  draft.subscriptions.put(record, { ...scanOfPlace(placeAt(record, afterSequence)), claims: 0 });
  const actors = definition.agentId === "" ? [] : [definition.agentId];
  draft.changeHeader({}, { kind: "subscriptionCreated", actors, detail: name });
  return record;
}

/** Throws SUBSCRIPTION_CONFLICT naming the first field that differs. */
function checkAgreement(known: SubscriptionRecord, { name, definition, agreesWithAnyStart }: NamedRequest): void {
  if (known.filter !== definition.filter) throw filterConflict(name);
  const wanted = comparable(definition);
  for (const [field, found] of Object.entries(comparable(known))) {
    if (found === wanted[field] || (field === "start" && agreesWithAnyStart)) continue;
    throw subscriptionConflict(name, { field, found, wanted: wanted[field] ?? "" });
  }
}

/** What else has to be the same, each as text for people. */
function comparable({ agentId, start, order, includeOwn, policy }: SubscriptionDefinition): Record<string, string> {
  return {
    agent_id: `"${agentId}"`,
    start: startText(start),
    order: order ?? "sequence",
    include_own: String(includeOwn),
    "ack_policy.ack_deadline": `${policy.ackDeadlineMs} ms`,
    "ack_policy.max_delivery_attempts": String(policy.maxDeliveryAttempts),
    "ack_policy.min_backoff": `${policy.minBackoffMs} ms`,
    "ack_policy.max_backoff": `${policy.maxBackoffMs} ms`,
    "ack_policy.max_outstanding": String(policy.maxOutstanding),
  };
}

function startText(start: SubscriptionDefinition["start"]): string {
  switch (start.at) {
    case "latest":
    case "earliest":
      return start.at;
    case "sequence":
      return `after sequence ${start.afterSequence}`;
    case "time":
      return `at ${new Date(start.timeMs).toISOString()}`;
  }
}
