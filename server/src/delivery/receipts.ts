import { setImmediate } from "node:timers/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { FilterExpressionCompiler } from "../model/filter-expression.js";
import { maxReceiptSignals } from "../model/limits.js";
import type { LogEntry } from "../model/log-entry.js";
import type { CompiledTransform } from "../model/transform/signal-transform.js";
import type { LogReader } from "../state/log-reader.js";
import { readLogAfter } from "../state/read-log.js";
import type { SessionState } from "../state/session-state.js";
import { DeliveryJudge, type StretchVerdict } from "./delivery-verdict.js";

/** What receipts are made with. */
export interface ReceiptEnvironment {
  readonly reader: LogReader;
  readonly expressions: FilterExpressionCompiler;
  /** What the server makes of every signal that it hands out; undefined leaves them as they are. */
  readonly outgoing: CompiledTransform | undefined;
}

/** What became of a signal at one agent. Times are in milliseconds on the wall clock. */
export interface Receipt {
  readonly agentId: string;
  readonly deliveredMs: number | undefined;
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
  const judge = judgeOf(environment, entry);
  const agentIds = new Set([...recipientsOf(session, entry), ...replies.keys()]);
  const receipts = [...agentIds].sort().map((agentId) => ({
    agentId,
    deliveredMs: judge.deliveredMs(agentId, session.readings.of(agentId)),
    reply: replies.get(agentId),
  }));
  return { entry, receipts, throughSequence };
}

/** What each subscription of an agent that is known made of a signal. Throws FILTER_BUDGET_EXCEEDED. */
export function verdictsOn(
  environment: Omit<ReceiptEnvironment, "reader">,
  session: SessionState,
  { entry, agentId }: { readonly entry: LogEntry; readonly agentId: string },
): readonly StretchVerdict[] {
  return judgeOf(environment, entry).verdicts(agentId, session.readings.of(agentId));
}

function judgeOf({ outgoing, expressions }: Omit<ReceiptEnvironment, "reader">, stored: LogEntry): DeliveryJudge {
  return new DeliveryJudge({ stored, handedOut: outgoing?.apply(stored) ?? stored }, expressions);
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
      if (reply.correlationId !== signal.signalId || replies.has(reply.senderAgentId)) continue;
      const timeMs = reply.timestamp === undefined ? 0 : timestampMs(reply.timestamp);
      replies.set(reply.senderAgentId, { sequence: at, timeMs });
    }
    position = part.throughSequence;
    // A long history must not keep everybody else from running.
    await setImmediate();
  }
  return { replies, throughSequence: position };
}
