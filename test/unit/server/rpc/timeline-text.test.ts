import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { GetTimelineResponseSchema } from "@coordination-signals/proto/coordination/v1/coordination_service";
import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { CriticalLink, WaitOutcome } from "@coordination-signals/proto/coordination/v1/timeline";
import { describe, expect, test } from "@jest/globals";
import { chromeTraceText } from "../../../../server/src/rpc/timeline-chrome-trace.js";
import { ganttText } from "../../../../server/src/rpc/timeline-gantt.js";

const at = (ms: number) => timestampFromMs(1_000 + ms);
const signal = (sequence: bigint, ms: number, summary = "done") => ({
  sequence,
  timestamp: at(ms),
  signalType: SignalType.AGENT_COMPLETED,
  summary,
});

function timeline(parts: MessageInitShape<typeof GetTimelineResponseSchema> = {}) {
  return create(GetTimelineResponseSchema, {
    startTime: at(0),
    endTime: at(100),
    lanes: [
      { agentId: 'a"; :#', signals: [signal(1n, 20)], idleGaps: [{ startTime: at(0), endTime: at(20) }] },
      {
        agentId: "b",
        signals: [signal(2n, 30)],
        waits: [
          {
            waitId: "w1",
            startTime: at(5),
            endTime: at(21),
            outcome: WaitOutcome.SATISFIED,
            conditionCount: 2,
            conditions: [{ description: 'agent "a" completed', sequence: 1n, agentIds: ["a"] }],
          },
          { waitId: "w2", startTime: at(40), conditionCount: 1, conditions: [{ description: "a signal" }] },
        ],
      },
    ],
    edges: [{ fromAgentId: "b", toAgentId: 'a"; :#', waitId: "w1", sequence: 1n, decisive: true }],
    criticalPath: [
      { sequence: 1n, agentId: "a", startTime: at(20), endTime: at(20), link: CriticalLink.START, summary: "done" },
      { sequence: 2n, agentId: "b", startTime: at(20), endTime: at(30), link: CriticalLink.WAIT, summary: "done" },
    ],
    ...parts,
  });
}

describe("a timeline as a trace", () => {
  const events = (text: string) => JSON.parse(text).traceEvents as Record<string, unknown>[];

  test("names the coordination and its agents, whatever they hold", () => {
    const names = events(chromeTraceText("c\u2028</script>", timeline())).filter(({ ph }) => ph === "M");
    expect(names.map(({ tid, args }) => [tid, args])).toEqual([
      [0, { name: "c\u2028</script>" }],
      [0, { name: "critical path" }],
      [1, { name: 'a"; :#' }],
      [2, { name: "b" }],
    ]);
  });

  test("shows spans, moments and arrows in microseconds", () => {
    const shown = events(chromeTraceText("c", timeline())).filter(({ ph }) => ph !== "M");
    expect(shown.map(({ ph, tid, ts, dur, name }) => [ph, tid, ts, dur, name])).toEqual([
      ["X", 0, 1_020_000, 10_000, "b: done"],
      ["X", 1, 1_000_000, 20_000, "idle"],
      ["i", 1, 1_020_000, undefined, "#1 done"],
      ["X", 2, 1_005_000, 16_000, 'waits for agent "a" completed and 1 more'],
      ["X", 2, 1_040_000, 60_000, "waits for a signal"],
      ["i", 2, 1_030_000, undefined, "#2 done"],
      ["s", 1, 1_020_000, undefined, "ends wait"],
      ["f", 2, 1_021_000, undefined, "ends wait"],
    ]);
  });

  test("shows waits at the same time on threads of their own, for a viewer leaves out what overlaps", () => {
    const wait = (waitId: string, startMs: number, endMs: number) => ({
      waitId,
      startTime: at(startMs),
      endTime: at(endMs),
      conditionCount: 1,
      conditions: [{ description: waitId, sequence: 1n, agentIds: ["b"] }],
    });
    const lanes = [
      { agentId: "a", waits: [wait("w1", 0, 20), wait("w2", 10, 30), wait("w3", 20, 40), wait("w4", 25, 35)] },
      { agentId: "b", signals: [signal(1n, 30)] },
    ];
    const edges = [{ fromAgentId: "a", toAgentId: "b", waitId: "w2", sequence: 1n, decisive: true }];
    const all = events(chromeTraceText("c", timeline({ lanes, edges, criticalPath: [] })));
    expect(all.filter(({ ph }) => ph === "X").map(({ tid, name }) => [tid, name])).toEqual([
      [1, "waits for w1"],
      [2, "waits for w2"],
      [1, "waits for w3"],
      [3, "waits for w4"],
    ]);
    expect(all.filter(({ ph }) => ph === "s" || ph === "f").map(({ ph, tid }) => [ph, tid])).toEqual([
      ["s", 4],
      ["f", 2],
    ]);
    expect(all.filter(({ name }) => name === "thread_name").map(({ tid, args }) => [tid, args])).toEqual([
      [0, { name: "critical path" }],
      [1, { name: "a" }],
      [2, { name: "a (2)" }],
      [3, { name: "a (3)" }],
      [4, { name: "b" }],
    ]);
  });

  test("is cut before it becomes too large, and says so", () => {
    const signals = Array.from({ length: 10_000 }, (_, index) => signal(BigInt(index), index, "x".repeat(100)));
    const text = chromeTraceText("c", timeline({ lanes: [{ agentId: "a", signals }] }));
    expect(text.length).toBeLessThan(1.1 * 1024 * 1024);
    expect(JSON.parse(text).otherData.leftOutEvents + events(text).length).toBe(10_004);
  });
});

describe("a timeline as a Gantt chart", () => {
  test("has a section for each agent, in which names cannot become syntax", () => {
    expect(ganttText("c: 1", timeline())).toBe(
      [
        "gantt",
        "  title c\ua789 1",
        "  dateFormat x",
        "  axisFormat %H:%M:%S",
        "  section critical path",
        "  2 b - done :crit, 1020, 1030",
        "  section a'\uff1b \ua789\uff03",
        "  idle :done, 1000, 1020",
        "  1 done :milestone, 1020, 1020",
        "  section b",
        "  waits for agent 'a' completed and 1 more :active, 1005, 1021",
        "  waits for a signal :active, 1040, 1100",
        "  2 done :milestone, 1030, 1030",
        "",
      ].join("\n"),
    );
  });

  test("is cut at what Mermaid draws, and says so", () => {
    const signals = Array.from({ length: 2_000 }, (_, index) => signal(BigInt(index), index, "x".repeat(100)));
    const text = ganttText("c", timeline({ lanes: [{ agentId: "a", signals }] }));
    expect(text.length).toBeLessThanOrEqual(50_000);
    expect(text).toMatch(/\n {2}%% \d+ lines are left out\n$/);
  });
});
