import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import {
  type SendSignalRequest,
  SendSignalRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";

/*
 * Signals whose every byte follows from who sends which one: so a journal needs to keep numbers only, and whatever a log
 * holds says by itself what it should be.
 */

/** Identifies a signal among all of a coordination: the n-th of a writer, both from 0. */
export interface PlannedSignal {
  readonly writer: number;
  readonly ordinal: number;
}

/** Every so many signals one is large enough for pages of its own, and one changes what is kept beside the log. */
const largeEvery = 97;
const dependencyEvery = 11;
const completionEvery = 23;
/** Every so many signals one is for another writer only. */
const directedEvery = 5;

/** The agent that a writer sends as. */
function writerName(writer: number): string {
  return `writer-${writer}`;
}

/** The request that sends a signal. */
export function plannedRequest(
  coordinationId: string,
  { writer, ordinal }: PlannedSignal,
): MessageInitShape<typeof SendSignalRequestSchema> {
  return {
    coordinationId,
    senderAgentId: writerName(writer),
    requestId: requestIdOf({ writer, ordinal }),
    recipientAgentIds: isDirected({ writer, ordinal }) ? [writerName(writer)] : [],
    event: plannedEvent({ writer, ordinal }),
  };
}

/** As a message. */
export function plannedMessage(coordinationId: string, planned: PlannedSignal): SendSignalRequest {
  return create(SendSignalRequestSchema, plannedRequest(coordinationId, planned));
}

/** Whether only its sender, and observers, get a signal. */
export function isDirected({ ordinal }: PlannedSignal): boolean {
  return ordinal % directedEvery === directedEvery - 1;
}

export function requestIdOf({ writer, ordinal }: PlannedSignal): string {
  return `${writer}-${ordinal}`;
}

/** Which signal was planned under a request id; undefined for none. */
export function plannedFromRequestId(requestId: string): PlannedSignal | undefined {
  const [writer, ordinal, rest] = requestId.split("-").map(Number);
  if (writer === undefined || ordinal === undefined || rest !== undefined) return undefined;
  return Number.isSafeInteger(writer) && Number.isSafeInteger(ordinal) ? { writer, ordinal } : undefined;
}

/** What differs between a signal and its plan; undefined when it is as planned. */
export function differenceFromPlan(signal: CoordinationSignal, planned: PlannedSignal): string | undefined {
  if (signal.senderAgentId !== writerName(planned.writer)) return `its sender is "${signal.senderAgentId}"`;
  const text = textOf(signal.event);
  const expected = textOf(plannedEvent(planned));
  if (text !== expected) return `it says "${text.slice(0, 60)}", planned was "${expected.slice(0, 60)}"`;
  return undefined;
}

type Event = NonNullable<MessageInitShape<typeof SendSignalRequestSchema>["event"]>;

function plannedEvent({ writer, ordinal }: PlannedSignal): Event {
  const text = plannedText({ writer, ordinal });
  if (ordinal % dependencyEvery === 3) {
    const value = { dependencyType: "model", dependencyId: `${writer}/${ordinal % 50}`, resolvedBy: text };
    return { case: "dependencyResolved", value };
  }
  if (ordinal % completionEvery === 7) return { case: "agentCompleted", value: { resultSummary: text } };
  return { case: "interAgentMessage", value: { messageType: "note", message: text } };
}

function plannedText({ writer, ordinal }: PlannedSignal): string {
  const text = `${writer}/${ordinal} `;
  if (ordinal % dependencyEvery === 3) return `agent-${writer}-${ordinal}`;
  return text.repeat(ordinal % largeEvery === 50 ? 600 : 1 + (ordinal % 20));
}

function textOf(event: Event | CoordinationSignal["event"]): string {
  switch (event.case) {
    case "dependencyResolved":
      return event.value.resolvedBy ?? "";
    case "agentCompleted":
      return event.value.resultSummary ?? "";
    case "interAgentMessage":
      return event.value.message ?? "";
    default:
      return "";
  }
}
