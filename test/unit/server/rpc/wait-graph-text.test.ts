import { create } from "@bufbuild/protobuf";
import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import { GetWaitGraphResponseSchema } from "@coordination-signals/proto/coordination/v1/coordination_service";
import { describe, expect, test } from "@jest/globals";
import { dotText, mermaidText } from "../../../../server/src/rpc/wait-graph-text.js";

const graph = create(GetWaitGraphResponseSchema, {
  agents: [
    { agentId: "a", state: AgentState.WAITING },
    { agentId: "b", state: AgentState.UNSPECIFIED },
  ],
  loops: [{ agentIds: ["a"] }],
  edges: [{ fromAgentId: "a", toAgentId: "b", waitId: "1", conditionIndex: 0 }],
  waits: [
    {
      waitId: "1",
      agentId: "a",
      deadlocked: true,
      pendingConditions: [{ conditionIndex: 0, description: 'dependency model "<U> \\ #1"', agentIds: ["b"] }],
    },
    {
      waitId: "2",
      agentId: "b",
      pendingConditions: [{ conditionIndex: 0, description: "a signal", anyone: true }],
    },
  ],
});

describe("the wait graph as text", () => {
  test("is a flowchart of Mermaid in which names cannot become syntax", () => {
    expect(mermaidText(graph)).toBe(
      [
        "flowchart LR",
        '  a0["a (waiting)"]:::loop',
        '  a1["b (not registered)"]',
        '  a0 ==>|"dependency model #quot;#lt;U#gt; #92; #35;1#quot;"| a1',
        '  w0(["a signal: nobody"])',
        "  a1 -.-> w0",
        "  classDef loop stroke:#c00,stroke-width:3px",
        "",
      ].join("\n"),
    );
  });

  test("keeps what Mermaid would take for a directive, an entity or the end of a line", () => {
    const named = create(GetWaitGraphResponseSchema, {
      agents: [{ agentId: "a" }],
      waits: [
        { waitId: "1", agentId: "a", pendingConditions: [{ description: "%%{init: {}}%% &lt; \\n", anyone: true }] },
      ],
    });
    expect(mermaidText(named)).toContain('w0(["#37;#37;{init: {}}#37;#37; #amp;lt; #92;n: nobody"])');
  });

  test("is a digraph of Graphviz in which names cannot become syntax", () => {
    expect(dotText(graph)).toBe(
      [
        "digraph waits {",
        "  rankdir=LR;",
        '  a0 [label="a (waiting)", color="red", penwidth=3];',
        '  a1 [label="b (not registered)"];',
        '  a0 -> a1 [label="dependency model \\"<U> \\\\ #1\\"", color="red"];',
        '  w0 [shape=box, label="a signal: nobody"];',
        "  a1 -> w0 [style=dashed];",
        "}",
        "",
      ].join("\n"),
    );
  });
});
