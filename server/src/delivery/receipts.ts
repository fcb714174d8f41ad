import { setImmediate } from "node:timers/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { FilterExpressionCompiler } from "../model/filter-expression.js";
import { isReply } from "../model/is-reply.js";
import { maxReceiptSignals } from "../model/limits.js";
import type { LogEntry } from "../model/log-entry.js";
import type { CompiledTransform } from "../model/transform/signal-transform.js";
import type { LogReader } from "../state/log-reader.js";
import { readLogAfter } from "../state/read-log.js";
import type { SessionState } from "../state/session-state.js";
import { sequenceKey } from "../state/subscription-record.js";
import type { AcknowledgedSubscriptions } from "./acknowledged/acknowledged-subscriptions.js";
import { earliest } from "./acknowledged/named-verdicts.js";
import { DeliveryJudge, type JudgedSignal, type StretchVerdict } from "./delivery-verdict.js";

/** What receipts are made with. */
export interface ReceiptEnvironment {
  readonly reader: LogReader;
  readonly expressions: FilterExpressionCompiler;
  /** What the server makes of every signal that it hands out; undefined leaves them as they are. */
  readonly outgoing: CompiledTransform | undefined;
  readonly acknowledged: AcknowledgedSubscriptions;
}

/** What became of a signal at one agent. Times are in milliseconds on the wall clock. */
export interface Receipt {
  readonly agentId: string;
  readonly deliveredMs: number | undefined;
  readonly acknowledgedMs: number | undefined;
  readonly reply: { readonly sequence: bigint; readonly timeMs: number } | undefined;
}

/** What became of a signal at all of its recipients, by their names. */
export interface Receipts {
  readonly entry: LogEntry;
  readonly receipts: readonly Receipt[];
  /** Replies were looked for through this sequence. */
  readonly throughSequence: bigint;
}

/** Looks what became of a signal. Throws FILTER_BUDGET_EXCEEDED. */
export async function receiptsOf(
  environment: ReceiptEnvironment,
  session: SessionState,
  entry: LogEntry,
): Promise<Receipts> {
  const { replies, throughSequence } = await repliesTo(environment.reader, session, entry);
  const judge = new DeliveryJudge(judgedSignal(environment, entry), environment.expressions);
  const named = environment.acknowledged.receipts(session, entry);
  const required = session.named.required.get(sequenceKey(entry.sequence))?.agentIds ?? [];
  const agentIds = new Set([...recipientsOf(session, entry), ...required, ...replies.keys()]);
  const receipts: Receipt[] = [];
  for (const agentId of [...agentIds].sort()) {
    const turn = environment.expressions.turns.nextIfOver();
    if (turn !== undefined) await turn;
    const { deliveredMs, acknowledgedMs } = await named.of(agentId);
    const readMs = judge.deliveredMs(agentId, session.readings.of(agentId));
    receipts.push({
      agentId,
      deliveredMs: earliest([deliveredMs, readMs]),
      acknowledgedMs,
      reply: replies.get(agentId),
    });
  }
  return { entry, receipts, throughSequence };
}

/** What each subscription of an agent without a name, that is known, made of a signal. Throws FILTER_BUDGET_EXCEEDED. */
export function verdictsOn(
  { expressions }: Pick<ReceiptEnvironment, "expressions">,
  session: SessionState,
  { judged, agentId }: { readonly judged: JudgedSignal; readonly agentId: string },
): readonly StretchVerdict[] {
  return new DeliveryJudge(judged, expressions).verdicts(agentId, session.readings.of(agentId));
}

/** A signal as it is stored, and as filters are asked about it. */
export function judgedSignal(
  { outgoing }: { readonly outgoing?: CompiledTransform | undefined },
  stored: LogEntry,
): JudgedSignal {
  return { stored, handedOut: outgoing?.apply(stored) ?? stored };
}

/** Those a signal names; of a broadcast the agents that were registered when it was accepted, without its sender. */
function recipientsOf(session: SessionState, { signal, sequence }: LogEntry): readonly string[] {
  if (signal.recipientAgentIds.length > 0) return signal.recipientAgentIds;
  const recipients: string[] = [];
  for (const { agentId, isRegistered, registeredAfter = "0" } of session.agents.values()) {
    if (isRegistered && agentId !== signal.senderAgentId && BigInt(registeredAfter) < sequence)
      recipients.push(agentId);
  }
  return recipients;
}

async function repliesTo(
  reader: LogReader,
  session: SessionState,
  { signal, sequence }: LogEntry,
): Promise<{ readonly replies: ReadonlyMap<string, Receipt["reply"]>; readonly throughSequence: bigint }> {
  const replies = new Map<string, Receipt["reply"]>();
  const end = sequence + BigInt(maxReceiptSignals);
  let position = sequence;
  while (position < end && position < (session.header?.headSequence ?? 0n)) {
    const part = await readLogAfter(reader, session, position);
    for (const { signal: reply, sequence: at } of part.entries) {
      if (!isReply(reply, signal) || replies.has(reply.senderAgentId)) continue;
      const timeMs = reply.timestamp === undefined ? 0 : timestampMs(reply.timestamp);
      replies.set(reply.senderAgentId, { sequence: at, timeMs });
    }
    position = part.throughSequence;
    // A long history must not keep everybody else from running.
    await setImmediate();
  }
  return { replies, throughSequence: position };
}
