import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import {
  type GetTimelineRequest,
  type GetTimelineResponse,
  GetTimelineResponseSchema,
  GraphFormat,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import {
  CriticalLink,
  type CriticalStep,
  CriticalStepSchema,
  type TimelineEdge,
  TimelineEdgeSchema,
  type TimelineLane,
  TimelineLaneSchema,
  type TimelineSignal,
  TimelineSignalSchema,
  type TimelineWait,
  TimelineWaitSchema,
  WaitOutcome,
} from "@coordination-signals/proto/coordination/v1/timeline";
import type { ReadTimeline, TimelineRequest } from "../coordination/timeline/read-timeline.js";
import type * as model from "../coordination/timeline/timeline.js";
import { describeCondition } from "../coordination/waits/wait-text.js";
import {
  defaultIdleMs,
  defaultTimelineSignals,
  maxResponseBytes,
  maxTimelineEdges,
  maxTimelineItems,
} from "../model/limits.js";
import { type AgentView, agentState } from "../registry/agent-state.js";
import { checkStretch, spanMs } from "./request-fields.js";
import { chromeTraceText } from "./timeline-chrome-trace.js";
import { ganttText } from "./timeline-gantt.js";

/** What a request asks to be told. Throws INVALID_REQUEST. */
export function timelineRequestFrom(request: GetTimelineRequest): TimelineRequest {
  checkStretch(request);
  const { afterSequence, untilSequence, minIdle } = request;
  return { afterSequence, untilSequence, leastIdleMs: spanMs(minIdle, defaultIdleMs) };
}

/** A timeline as the contract shows it: the last of everything, as much as fits. */
export function timelineMessage(
  { timeline, agents }: { readonly timeline: ReadTimeline; readonly agents: readonly AgentView[] },
  { coordinationId, maxSignals, format }: GetTimelineRequest,
): GetTimelineResponse {
  const listed = listedParts(timeline, maxSignals === 0 ? defaultTimelineSignals : maxSignals);
  const { steps, waits, signals, edges } = listed;
  const message = create(GetTimelineResponseSchema, {
    lanes: [...laneMessages(timeline, listed, agents)],
    edges: edges.map(({ message: edge }) => edge),
    criticalPath: steps.map(({ message: step }) => step),
    criticalPathDuration: durationFromMs(durationMs(timeline.criticalPath)),
    startTime: timestampFromMs(timeline.startMs),
    endTime: timestampFromMs(timeline.endMs),
    firstSequence: timeline.signals[0]?.sequence ?? 0n,
    lastSequence: timeline.signals.at(-1)?.sequence ?? 0n,
    signalCount: BigInt(timeline.signals.length),
    unlistedSignals: BigInt(timeline.signals.length - signals.length),
    waitCount: BigInt(timeline.waits.length),
    unlistedWaits: BigInt(timeline.waits.length - waits.length),
    laneCount: BigInt(timeline.lanes.length),
    unlistedSteps: BigInt(timeline.criticalPath.length - steps.length),
    forgottenWaits: BigInt(timeline.forgottenWaits),
    leftOutSignals: timeline.leftOutSignals,
  });
  if (format === GraphFormat.CHROME_TRACE) message.text = chromeTraceText(coordinationId, message);
  if (format === GraphFormat.MERMAID) message.text = ganttText(coordinationId, message);
  return message;
}

interface Listed<Item, Message> {
  readonly item: Item;
  readonly message: Message;
}

interface ListedParts {
  readonly steps: readonly Listed<model.TimelineSignal, CriticalStep>[];
  readonly waits: readonly Listed<model.TimelineWait, TimelineWait>[];
  readonly signals: readonly Listed<model.TimelineSignal, TimelineSignal>[];
  readonly edges: readonly Listed<model.TimelineEdge, TimelineEdge>[];
}

const maxListedConditions = 20;

function listedParts({ criticalPath, waits, signals, edges }: ReadTimeline, maxSignals: number): ListedParts {
  const budget = { bytes: maxResponseBytes };
  const sendersOf = new Map<string, string[]>();
  for (const { waitId, conditionIndex, toAgentId } of edges) {
    const key = `${waitId} ${conditionIndex}`;
    sendersOf.set(key, [...(sendersOf.get(key) ?? []), toAgentId].slice(0, maxNamedAgents));
  }
  const pathStart = Math.max(0, criticalPath.length - maxTimelineItems);
  return {
    steps: lastThatFit(CriticalStepSchema, budget, {
      items: criticalPath.slice(pathStart),
      messageOf: (step, index) => stepMessage(step, criticalPath[pathStart + index - 1]),
    }),
    waits: lastThatFit(TimelineWaitSchema, budget, { items: waits, messageOf: (wait) => waitMessage(wait, sendersOf) }),
    signals: lastThatFit(TimelineSignalSchema, budget, { items: signals.slice(-maxSignals), messageOf: signalMessage }),
    edges: lastThatFit(TimelineEdgeSchema, budget, { items: edges.slice(-maxTimelineEdges), messageOf: edgeMessage }),
  };
}

/** The last items whose messages fit into what is left of a budget, in order. */
function lastThatFit<Item, Desc extends DescMessage>(
  schema: Desc,
  budget: { bytes: number },
  {
    items,
    messageOf,
  }: { readonly items: readonly Item[]; readonly messageOf: (item: Item, index: number) => MessageShape<Desc> },
): readonly Listed<Item, MessageShape<Desc>>[] {
  const kept: Listed<Item, MessageShape<Desc>>[] = [];
  for (let index = items.length - 1; index >= 0; index--) {
    const item = items[index];
    if (item === undefined) break;
    const message = messageOf(item, index);
    budget.bytes -= toBinary(schema, message).length;
    if (budget.bytes < 0) break;
    kept.push({ item, message });
  }
  return kept.reverse();
}

function laneMessages(
  { lanes }: ReadTimeline,
  { signals, waits }: ListedParts,
  agents: readonly AgentView[],
): readonly TimelineLane[] {
  const states = new Map(agents.map((view) => [view.record.agentId, agentState(view)]));
  const signalsOf = groupedByAgent(signals);
  const waitsOf = groupedByAgent(waits);
  return lanes.slice(0, maxTimelineItems).map((lane) =>
    create(TimelineLaneSchema, {
      agentId: lane.agentId,
      state: states.get(lane.agentId) ?? AgentState.UNSPECIFIED,
      startTime: timestampFromMs(lane.startMs),
      endTime: timestampFromMs(lane.endMs),
      signalCount: BigInt(lane.signalCount),
      signals: signalsOf.get(lane.agentId) ?? [],
      waits: waitsOf.get(lane.agentId) ?? [],
      idleGaps: lane.idleGaps.map(({ startMs, endMs }) => ({
        startTime: timestampFromMs(startMs),
        endTime: timestampFromMs(endMs),
      })),
      waiting: durationFromMs(lane.waitingMs),
      idle: durationFromMs(lane.idleMs),
    }),
  );
}

function groupedByAgent<Message>(
  listed: readonly Listed<{ readonly agentId: string }, Message>[],
): ReadonlyMap<string, Message[]> {
  const groups = new Map<string, Message[]>();
  for (const { item, message } of listed) {
    const group = groups.get(item.agentId);
    if (group === undefined) groups.set(item.agentId, [message]);
    else group.push(message);
  }
  return groups;
}

function signalMessage(signal: model.TimelineSignal): TimelineSignal {
  return create(TimelineSignalSchema, {
    sequence: signal.sequence,
    timestamp: timestampFromMs(signal.timeMs),
    signalType: signal.type,
    summary: signal.summary,
    recipientAgentIds: [...signal.recipientAgentIds],
    replyToSequence: signal.replyTo ?? 0n,
  });
}

function waitMessage(wait: model.TimelineWait, namesOf: ReadonlyMap<string, readonly string[]>): TimelineWait {
  const { waitId, startTimeMs, endTimeMs, outcome, endSequence, needed, independent } = wait;
  return create(TimelineWaitSchema, {
    waitId,
    startTime: timestampFromMs(startTimeMs),
    ...(endTimeMs !== undefined && { endTime: timestampFromMs(endTimeMs) }),
    outcome: outcome === undefined ? WaitOutcome.UNSPECIFIED : outcomes[outcome],
    endSequence: endSequence ?? 0n,
    needed,
    independent,
    conditions: wait.conditions.slice(0, maxListedConditions).map((condition, index) => ({
      description: describeCondition(condition),
      sequence: wait.sequences.get(index) ?? 0n,
      agentIds: [...(namesOf.get(`${waitId} ${index}`) ?? [])],
    })),
    conditionCount: wait.conditionCount,
  });
}

const maxNamedAgents = 10;

const outcomes: Readonly<Record<NonNullable<model.TimelineWait["outcome"]>, WaitOutcome>> = {
  satisfied: WaitOutcome.SATISFIED,
  failed: WaitOutcome.FAILED,
  deadlock: WaitOutcome.DEADLOCK,
  timedOut: WaitOutcome.TIMED_OUT,
  cancelled: WaitOutcome.CANCELLED,
  closed: WaitOutcome.CLOSED,
  interrupted: WaitOutcome.INTERRUPTED,
};

function edgeMessage({ sequence, isDecisive, ...edge }: model.TimelineEdge): TimelineEdge {
  return create(TimelineEdgeSchema, { ...edge, sequence: sequence ?? 0n, decisive: isDecisive });
}

const links: Readonly<Record<model.TimelineCause["link"], CriticalLink>> = {
  work: CriticalLink.WORK,
  wait: CriticalLink.WAIT,
  reply: CriticalLink.REPLY,
  message: CriticalLink.MESSAGE,
};

function stepMessage(step: model.TimelineSignal, before: model.TimelineSignal | undefined): CriticalStep {
  const { sequence, agentId, timeMs, summary, cause } = step;
  return create(CriticalStepSchema, {
    sequence,
    agentId,
    startTime: timestampFromMs(before?.timeMs ?? timeMs),
    endTime: timestampFromMs(timeMs),
    link: cause === undefined || before === undefined ? CriticalLink.START : links[cause.link],
    waitId: (before && cause?.waitId) ?? "",
    summary,
  });
}

function durationMs(path: readonly model.TimelineSignal[]): number {
  return (path.at(-1)?.timeMs ?? 0) - (path[0]?.timeMs ?? 0);
}
