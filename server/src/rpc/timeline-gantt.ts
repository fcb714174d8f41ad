import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { GetTimelineResponse } from "@coordination-signals/proto/coordination/v1/coordination_service";
import { CriticalLink, type TimelineLane } from "@coordination-signals/proto/coordination/v1/timeline";
import { maxMermaidCharacters } from "../model/limits.js";
import { cutLines } from "./cut-lines.js";

/** The timeline as a Gantt chart of Mermaid: a section for each agent, the critical path first. */
export function ganttText(coordinationId: string, timeline: GetTimelineResponse): string {
  const head = ["gantt", `  title ${ganttLabel(coordinationId)}`, "  dateFormat x", "  axisFormat %H:%M:%S"];
  const endMs = msOf(timeline.endTime);
  const sections = [
    ["critical path", pathTasks(timeline)] as const,
    ...timeline.lanes.map((lane) => [lane.agentId, laneTasks(lane, endMs)] as const),
  ];
  const lines = sections.flatMap(([name, tasks]) =>
    tasks.length === 0 ? [] : [`  section ${ganttLabel(name)}`, ...tasks],
  );
  // Mermaid refuses to draw more.
  return cutLines({ head, lines }, { maxCharacters: maxMermaidCharacters, comment: "%%" });
}

function pathTasks({ criticalPath }: GetTimelineResponse): readonly string[] {
  return criticalPath
    .filter(({ link }) => link !== CriticalLink.START)
    .map(({ sequence, agentId, summary, startTime, endTime }) =>
      task(`${sequence} ${agentId} - ${summary}`, ["crit"], msOf(startTime), msOf(endTime)),
    );
}

function laneTasks({ waits, idleGaps, signals }: TimelineLane, endMs: number): readonly string[] {
  return [
    ...waits.map(({ conditions, conditionCount, startTime, endTime }) => {
      const more = conditionCount > 1 ? ` and ${conditionCount - 1} more` : "";
      const label = `waits for ${conditions[0]?.description ?? "nothing"}${more}`;
      return task(label, ["active"], msOf(startTime), endTime === undefined ? endMs : msOf(endTime));
    }),
    ...idleGaps.map(({ startTime, endTime }) => task("idle", ["done"], msOf(startTime), msOf(endTime))),
    ...signals.map(({ sequence, summary, timestamp }) => {
      const timeMs = msOf(timestamp);
      return task(`${sequence} ${summary}`, ["milestone"], timeMs, timeMs);
    }),
  ];
}

function task(label: string, tags: readonly string[], startMs: number, endMs: number): string {
  const times = [Math.floor(startMs), Math.max(Math.floor(startMs), Math.ceil(endMs))];
  return `  ${ganttLabel(label)} :${[...tags, ...times].join(", ")}`;
}

/**
 * In a Gantt chart a colon ends a label, and `#`, `;` and `%%` mean something, without a way to say them: characters that look like
 * them take their places. No label begins with a name from outside: it could be a keyword.
 */
function ganttLabel(text: string): string {
  return Array.from(text, (character) => lookalikes[character] ?? (character < " " ? " " : character)).join("");
}

const lookalikes: Readonly<Record<string, string>> = {
  ":": "\ua789",
  "#": "\uff03",
  ";": "\uff1b",
  "%": "\uff05",
  "<": "\u2039",
  ">": "\u203a",
  '"': "'",
  "`": "'",
  "\\": "\uff3c",
  "{": "(",
  "}": ")",
};

function msOf(time: Timestamp | undefined): number {
  return time === undefined ? 0 : timestampMs(time);
}
