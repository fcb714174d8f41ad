import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { renderTable } from "./markdown-table.js";

/*
 * Sums a processor profile up: where the time was spent, by function, its own and with all it called. A function that calls
 * itself is counted once for each sample.
 */

/** The part of the format of `node --cpu-prof` that is read. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  /** Node that was running at each sample. */
  readonly samples: readonly number[];
  /** Microseconds between each sample and the one before it. */
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

/** A function's share of the time in which the processor was busy. */
interface FunctionTime {
  readonly name: string;
  selfMicroseconds: number;
  totalMicroseconds: number;
}

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const shownFunctions = 30;
/** What the profiler calls time in which nothing ran. */
const idleNames = new Set(["(idle)", "(root)"]);

/** Renders the functions that took most of a profile's time. */
export function renderProfile(name: string, profile: CpuProfile): string {
  const times = functionTimes(profile);
  const busy = times.reduce((sum, { selfMicroseconds }) => sum + selfMicroseconds, 0);
  const share = (microseconds: number) => `${((microseconds / busy) * 100).toFixed(1)} %`;
  const row = ({ name, selfMicroseconds, totalMicroseconds }: FunctionTime) => [
    name,
    share(selfMicroseconds),
    share(totalMicroseconds),
  ];
  const bySelf = top(times, "selfMicroseconds").map(row);
  const own = times.filter(({ name }) => /(server|client-sdk)\//.test(name) && !name.includes("node_modules/"));
  const byTotal = top(own, "totalMicroseconds").map(row);
  const head = ["function", "itself", "with all it calls"];
  return [
    `## ${name}\n\n${(busy / 1e6).toFixed(2)} s of processor time.\n`,
    `### By the time of the function itself\n\n${renderTable(head, bySelf)}`,
    `### This project's functions, by the time of all they call\n\n${renderTable(head, byTotal)}`,
  ].join("\n");
}

function top(times: readonly FunctionTime[], what: "selfMicroseconds" | "totalMicroseconds"): readonly FunctionTime[] {
  return [...times].sort((a, b) => b[what] - a[what]).slice(0, shownFunctions);
}

function functionTimes({ nodes, samples, timeDeltas }: CpuProfile): readonly FunctionTime[] {
  const selfById = new Map<number, number>();
  for (const [index, id] of samples.entries()) selfById.set(id, (selfById.get(id) ?? 0) + (timeDeltas[index] ?? 0));
  const nodesById = new Map(nodes.map((node) => [node.id, node]));
  const times = new Map<string, FunctionTime>();
  const [first] = nodes;
  if (first !== undefined) addTimes(first, { nodesById, selfById, times, open: new Set() });
  return [...times.values()];
}

interface Walk {
  readonly nodesById: ReadonlyMap<number, ProfileNode>;
  readonly selfById: ReadonlyMap<number, number>;
  readonly times: Map<string, FunctionTime>;
  /** Functions on the way from the root to here. */
  readonly open: Set<string>;
}

/** Adds a node and what it called; answers the time of all of it. Profiles are at most 256 deep. */
function addTimes(node: ProfileNode, walk: Walk): number {
  const isIdle = idleNames.has(node.callFrame.functionName);
  const name = describe(node);
  const isOutermost = !walk.open.has(name);
  walk.open.add(name);
  const self = isIdle ? 0 : (walk.selfById.get(node.id) ?? 0);
  let total = self;
  for (const id of node.children ?? []) {
    const child = walk.nodesById.get(id);
    if (child !== undefined) total += addTimes(child, walk);
  }
  if (isOutermost) walk.open.delete(name);
  if (isIdle) return total;
  const time = walk.times.get(name) ?? { name, selfMicroseconds: 0, totalMicroseconds: 0 };
  time.selfMicroseconds += self;
  if (isOutermost) time.totalMicroseconds += total;
  walk.times.set(name, time);
  return total;
}

function describe({ callFrame: { functionName, url, lineNumber } }: ProfileNode): string {
  const path = url.startsWith("file:") ? relative(root, fileURLToPath(url)) : url;
  const place = path === "" ? "" : ` ${path}:${lineNumber + 1}`;
  return `${functionName || "(anonymous)"}${place}`;
}
