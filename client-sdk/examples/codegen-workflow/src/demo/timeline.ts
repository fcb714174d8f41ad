/**
 * Shows who signalled what, and when: a lane per agent, then a line per run of signals. A run is everything of one kind that an
 * agent sent between two of its milestones, so that 66 models are one line, and a restart is seen.
 */
import type { TimelineEntry } from "./timeline-entry.js";

const laneWidth = 60;
const maxDetailLength = 100;

interface Run {
  readonly first: TimelineEntry;
  last: TimelineEntry;
  count: number;
}

/** Draws the timeline of a workflow, its signals given in order. Some five lines for each start of an agent. */
export function timelineText(entries: readonly TimelineEntry[]): string {
  const [first] = entries;
  const last = entries.at(-1);
  if (first === undefined || last === undefined) return "no signals";
  const agentIds = [...new Set(entries.map(({ agentId }) => agentId))];
  const agentWidth = Math.max(...agentIds.map((agentId) => agentId.length));
  const span = { startMs: first.timeMs, endMs: last.timeMs };
  return [
    `${"0 s".padStart(agentWidth + 5)}${seconds(span.endMs - span.startMs).padStart(laneWidth - 3)}`,
    ...agentIds.map((agentId) => {
      const own = entries.filter((entry) => entry.agentId === agentId);
      return `${agentId.padEnd(agentWidth)}  ${lane(own, span)}`;
    }),
    "",
    ...runsOf(entries).map((run) => runLine(run, span.startMs, agentWidth)),
  ].join("\n");
}

/** A mark where the agent signalled, a line between its first signal and its last. */
function lane(own: readonly TimelineEntry[], { startMs, endMs }: { startMs: number; endMs: number }): string {
  const scale = laneWidth / Math.max(endMs - startMs, 1);
  const cells = own.map(({ timeMs }) => Math.min(laneWidth - 1, Math.floor((timeMs - startMs) * scale)));
  const marked = new Set(cells);
  const [from, to] = [Math.min(...cells), Math.max(...cells)];
  const cellText = (cell: number) => (marked.has(cell) ? "█" : cell > from && cell < to ? "─" : " ");
  return Array.from({ length: laneWidth }, (_, cell) => cellText(cell))
    .join("")
    .trimEnd();
}

function runsOf(entries: readonly TimelineEntry[]): readonly Run[] {
  const runs: Run[] = [];
  const open = new Map<string, Map<string, Run>>();
  for (const entry of entries) {
    const ofAgent = open.get(entry.agentId) ?? new Map<string, Run>();
    open.set(entry.agentId, ofAgent);
    const run = ofAgent.get(entry.kind);
    if (entry.isMilestone) {
      ofAgent.clear();
      runs.push({ first: entry, last: entry, count: 1 });
    } else if (run === undefined) {
      const begun = { first: entry, last: entry, count: 1 };
      ofAgent.set(entry.kind, begun);
      runs.push(begun);
    } else {
      run.last = entry;
      run.count += 1;
    }
  }
  return runs;
}

function runLine({ first, last, count }: Run, startMs: number, agentWidth: number): string {
  const from = seconds(first.timeMs - startMs).padStart(8);
  const to = count === 1 ? "".padStart(11) : ` … ${seconds(last.timeMs - startMs).padStart(8)}`;
  const times = count === 1 ? "" : `${count} × `;
  const detail = count === 1 ? first.detail : `${first.detail} … ${last.detail}`;
  const about = detail === "" ? "" : `: ${detail}`;
  return `${from}${to}  ${first.agentId.padEnd(agentWidth)}  ${cut(`${times}${first.kind}${about}`)}`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

function cut(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length <= maxDetailLength ? line : `${line.slice(0, maxDetailLength - 1)}…`;
}
