import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { GetTimelineResponse } from "@coordination-signals/proto/coordination/v1/coordination_service";
import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import {
  CriticalLink,
  type TimelineLane,
  type TimelineWait,
  WaitOutcome,
} from "@coordination-signals/proto/coordination/v1/timeline";
import { maxResponseBytes } from "../model/limits.js";
import { rowsOfSpans } from "./rows-of-spans.js";

/*
 * The trace event format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. The coordination is a
 * process and every agent a thread of it; the critical path is a thread of its own before them. Spans of one thread must not overlap,
 * or viewers leave one out: waits of an agent at the same time are on further threads of it. Times are in microseconds.
 */

interface TraceEvent {
  readonly name: string;
  /** M: a name, X: a span, i: a moment, s and f: the ends of an arrow. */
  readonly ph: "M" | "X" | "i" | "s" | "f";
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly [field: string]: unknown;
}

const pid = 1;
const pathThread = 0;

/** An agent's lane, and the threads that show it: on the first one its signals, and on each some of its waits. */
interface LaneThreads {
  readonly lane: TimelineLane;
  readonly tid: number;
  readonly count: number;
  /** By wait_id. */
  readonly waitThreads: ReadonlyMap<string, number>;
}

/** The timeline as a trace that chrome://tracing and Perfetto open. */
export function chromeTraceText(coordinationId: string, timeline: GetTimelineResponse): string {
  const endMs = msOf(timeline.endTime);
  const lanes = threadsOfLanes(timeline.lanes, endMs);
  const names = [
    nameEvent("process_name", pathThread, coordinationId),
    nameEvent("thread_name", pathThread, "critical path"),
    ...lanes.flatMap(laneNames),
  ];
  const events = [
    ...pathEvents(timeline),
    ...lanes.flatMap((lane) => laneEvents(lane, endMs)),
    ...arrowEvents(timeline, lanes),
  ];
  return traceText(names, events);
}

/** Cut where it would become too large: an event that is missing is better than a trace that does not open. */
function traceText(names: readonly TraceEvent[], events: readonly TraceEvent[]): string {
  const lines: string[] = [];
  let length = 0;
  for (const event of [...names, ...events]) {
    const line = JSON.stringify(event);
    length += line.length;
    if (length > maxResponseBytes) break;
    lines.push(line);
  }
  const leftOutEvents = names.length + events.length - lines.length;
  return `{"displayTimeUnit":"ms","otherData":{"leftOutEvents":${leftOutEvents}},"traceEvents":[\n${lines.join(",\n")}\n]}\n`;
}

function threadsOfLanes(lanes: readonly TimelineLane[], endMs: number): readonly LaneThreads[] {
  let next = pathThread + 1;
  return lanes.map((lane) => {
    const tid = next;
    const rows = rowsOfSpans(
      lane.waits.map(({ startTime, endTime }) => ({
        startMs: msOf(startTime),
        endMs: endTime === undefined ? endMs : msOf(endTime),
      })),
    );
    const waitThreads = new Map(lane.waits.map(({ waitId }, index) => [waitId, tid + (rows[index] ?? 0)]));
    const count = rows.reduce((most, row) => Math.max(most, row + 1), 1);
    next += count;
    return { lane, tid, count, waitThreads };
  });
}

function laneNames({ lane: { agentId }, tid, count }: LaneThreads): readonly TraceEvent[] {
  return Array.from({ length: count }, (_, row) =>
    nameEvent("thread_name", tid + row, row === 0 ? agentId : `${agentId} (${row + 1})`),
  );
}

function nameEvent(name: "process_name" | "thread_name", tid: number, value: string): TraceEvent {
  return { name, ph: "M", pid, tid, ts: 0, args: { name: value } };
}

function pathEvents({ criticalPath }: GetTimelineResponse): readonly TraceEvent[] {
  return criticalPath
    .filter(({ link }) => link !== CriticalLink.START)
    .map(({ agentId, startTime, endTime, sequence, link, summary }) => ({
      ...spanEvent({ name: `${agentId}: ${summary}`, cat: "critical path", tid: pathThread }, startTime, endTime),
      args: { sequence: Number(sequence), after: CriticalLink[link] },
    }));
}

function laneEvents({ lane, tid, waitThreads }: LaneThreads, endMs: number): readonly TraceEvent[] {
  return [
    ...lane.waits.map((wait) => waitEvent(wait, waitThreads.get(wait.waitId) ?? tid, endMs)),
    ...lane.idleGaps.map(({ startTime, endTime }) => spanEvent({ name: "idle", cat: "idle", tid }, startTime, endTime)),
    ...lane.signals.map(({ sequence, timestamp, signalType, summary, recipientAgentIds }) => ({
      name: `#${sequence} ${summary}`,
      cat: SignalType[signalType] ?? "",
      ph: "i" as const,
      s: "t",
      pid,
      tid,
      ts: microsecondsOf(timestamp),
      args: { sequence: Number(sequence), recipients: recipientAgentIds },
    })),
  ];
}

function waitEvent(wait: TimelineWait, tid: number, endMs: number): TraceEvent {
  const [first] = wait.conditions;
  const more = wait.conditionCount > 1 ? ` and ${wait.conditionCount - 1} more` : "";
  const outcome = wait.endTime === undefined ? "OPEN" : WaitOutcome[wait.outcome];
  const span = spanEvent(
    { name: `waits for ${first?.description ?? "nothing"}${more}`, cat: "wait", tid },
    wait.startTime,
    wait.endTime,
    endMs,
  );
  return { ...span, args: { waitId: wait.waitId, outcome, conditions: wait.conditions.map(conditionText) } };
}

function conditionText({ description, sequence, agentIds }: TimelineWait["conditions"][number]): string {
  const who = agentIds.length === 0 ? "" : ` by ${agentIds.join(", ")}`;
  return `${description}${who}${sequence === 0n ? "" : `, signal ${sequence}`}`;
}

/** An arrow from each signal that met a condition to the end of the wait. */
function arrowEvents(timeline: GetTimelineResponse, lanes: readonly LaneThreads[]): readonly TraceEvent[] {
  const threads = new Map(lanes.map(({ lane, tid }) => [lane.agentId, tid]));
  const waitThreads = new Map(lanes.flatMap((lane) => [...lane.waitThreads]));
  const signalTimes = new Map(
    timeline.lanes.flatMap(({ signals }) => signals.map(({ sequence, timestamp }) => [sequence, timestamp] as const)),
  );
  const waits = new Map(timeline.lanes.flatMap(({ waits: own }) => own.map((wait) => [wait.waitId, wait] as const)));
  return timeline.edges.flatMap((edge, id) => {
    const sent = signalTimes.get(edge.sequence);
    const wait = waits.get(edge.waitId);
    const from = threads.get(edge.toAgentId);
    const to = waitThreads.get(edge.waitId);
    if (sent === undefined || wait?.endTime === undefined || from === undefined || to === undefined) return [];
    const arrow = { name: "ends wait", cat: "wait", id, pid };
    return [
      { ...arrow, ph: "s" as const, tid: from, ts: microsecondsOf(sent) },
      { ...arrow, ph: "f" as const, bp: "e", tid: to, ts: microsecondsOf(wait.endTime) },
    ];
  });
}

function spanEvent(
  fields: { readonly name: string; readonly cat: string; readonly tid: number },
  start: Timestamp | undefined,
  end: Timestamp | undefined,
  openEndMs = 0,
): TraceEvent {
  const ts = microsecondsOf(start);
  const endUs = end === undefined ? openEndMs * 1_000 : microsecondsOf(end);
  return { ...fields, ph: "X", pid, ts, dur: Math.max(0, endUs - ts) };
}

function microsecondsOf(time: Timestamp | undefined): number {
  return Math.round(msOf(time) * 1_000);
}

function msOf(time: Timestamp | undefined): number {
  return time === undefined ? 0 : timestampMs(time);
}
