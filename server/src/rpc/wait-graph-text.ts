import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import type { GetWaitGraphResponse } from "@coordination-signals/proto/coordination/v1/coordination_service";
import type { WaitEdge } from "@coordination-signals/proto/coordination/v1/wait";
import { maxDotCharacters, maxMermaidCharacters } from "../model/limits.js";
import { cutLines } from "./cut-lines.js";

interface Drawing {
  /** Node names by agent: ids can hold characters that a format gives a meaning. */
  readonly nodes: ReadonlyMap<string, string>;
  /** What is missing, by wait and condition. */
  readonly labels: ReadonlyMap<string, string>;
  /** Waits that are part of a loop. */
  readonly deadlocked: ReadonlySet<string>;
  /** Agents of loops. */
  readonly inLoops: ReadonlySet<string>;
  /** Those between agents that are listed. */
  readonly edges: readonly WaitEdge[];
  /** Pairs of an agent and what it waits for that nobody is named to bring. */
  readonly open: readonly { readonly agentId: string; readonly label: string; readonly isOrphan: boolean }[];
}

/** The graph as a flowchart of Mermaid. */
export function mermaidText(graph: GetWaitGraphResponse): string {
  const { nodes, labels, deadlocked, inLoops, edges, open } = drawingOf(graph);
  const lines: string[] = [];
  for (const { agentId, state } of graph.agents) {
    const style = inLoops.has(agentId) ? ":::loop" : "";
    lines.push(`  ${nodes.get(agentId)}["${mermaidLabel(`${agentId} (${stateName(state)})`)}"]${style}`);
  }
  for (const edge of edges) {
    const arrow = deadlocked.has(edge.waitId) ? "==>" : "-->";
    const label = mermaidLabel(labels.get(keyOf(edge)) ?? "");
    lines.push(`  ${nodes.get(edge.fromAgentId)} ${arrow}|"${label}"| ${nodes.get(edge.toAgentId)}`);
  }
  for (const [index, { agentId, label, isOrphan }] of open.entries()) {
    lines.push(`  w${index}(["${mermaidLabel(isOrphan ? `${label}: nobody` : label)}"])`);
    lines.push(`  ${nodes.get(agentId)} -.-> w${index}`);
  }
  const frame = { head: ["flowchart LR"], lines, foot: ["  classDef loop stroke:#c00,stroke-width:3px"] };
  // Mermaid refuses to draw more.
  return cutLines(frame, { maxCharacters: maxMermaidCharacters, comment: "%%" });
}

/** The graph as a digraph of Graphviz. */
export function dotText(graph: GetWaitGraphResponse): string {
  const { nodes, labels, deadlocked, inLoops, edges, open } = drawingOf(graph);
  const lines: string[] = [];
  for (const { agentId, state } of graph.agents) {
    const style = inLoops.has(agentId) ? ', color="red", penwidth=3' : "";
    lines.push(`  ${nodes.get(agentId)} [label=${dotLabel(`${agentId} (${stateName(state)})`)}${style}];`);
  }
  for (const edge of edges) {
    const style = deadlocked.has(edge.waitId) ? ', color="red"' : "";
    const label = dotLabel(labels.get(keyOf(edge)) ?? "");
    lines.push(`  ${nodes.get(edge.fromAgentId)} -> ${nodes.get(edge.toAgentId)} [label=${label}${style}];`);
  }
  for (const [index, { agentId, label, isOrphan }] of open.entries()) {
    lines.push(`  w${index} [shape=box, label=${dotLabel(isOrphan ? `${label}: nobody` : label)}];`);
    lines.push(`  ${nodes.get(agentId)} -> w${index} [style=dashed];`);
  }
  const frame = { head: ["digraph waits {", "  rankdir=LR;"], lines, foot: ["}"] };
  return cutLines(frame, { maxCharacters: maxDotCharacters, comment: "//" });
}

function drawingOf({ waits, agents, loops, edges }: GetWaitGraphResponse): Drawing {
  const nodes = new Map(agents.map(({ agentId }, index) => [agentId, `a${index}`]));
  const pending = waits.flatMap((wait) => wait.pendingConditions.map((condition) => ({ wait, condition })));
  return {
    nodes,
    labels: new Map(
      pending.map(({ wait: { waitId }, condition: { conditionIndex, description } }) => [
        keyOf({ waitId, conditionIndex }),
        description,
      ]),
    ),
    deadlocked: new Set(waits.filter(({ deadlocked }) => deadlocked).map(({ waitId }) => waitId)),
    inLoops: new Set(loops.flatMap(({ agentIds }) => agentIds)),
    edges: edges.filter(({ fromAgentId, toAgentId }) => nodes.has(fromAgentId) && nodes.has(toAgentId)),
    open: pending
      .filter(({ wait, condition }) => condition.anyone && nodes.has(wait.agentId))
      .map(({ wait, condition }) => ({
        agentId: wait.agentId,
        label: condition.description,
        isOrphan: condition.agentIds.length === 0,
      })),
  };
}

function keyOf({ waitId, conditionIndex }: Pick<WaitEdge, "waitId" | "conditionIndex">): string {
  return `${waitId} ${conditionIndex}`;
}

function stateName(state: AgentState): string {
  return state === AgentState.UNSPECIFIED ? "not registered" : (AgentState[state] ?? "").toLowerCase();
}

/**
 * In quotes Mermaid takes everything but a quote, entities of its own and of HTML, and `\n`, which it breaks the line at; a directive,
 * `%%{...}%%`, it takes from wherever it stands.
 */
function mermaidLabel(text: string): string {
  return text.replace(/["#%&<>\\]/g, (character) => mermaidEntities[character] ?? character);
}

const mermaidEntities: Readonly<Record<string, string>> = {
  '"': "#quot;",
  "#": "#35;",
  "%": "#37;",
  "&": "#amp;",
  "<": "#lt;",
  ">": "#gt;",
  "\\": "#92;",
};

function dotLabel(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
