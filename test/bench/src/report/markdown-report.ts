import { basename } from "node:path";
import type { BenchRun } from "../bench-run.js";
import { messageBytes } from "../load/bench-message.js";
import type { Spread } from "../load/statistics.js";
import type { Figure } from "../modes/bench-mode.js";
import { type ModeName, modeTable } from "../modes/mode-table.js";
import type { SystemGroup } from "../systems/bench-system.js";
import { systemTable } from "../systems/system-table.js";
import { formatValue } from "./format-figure.js";
import { goalsOf } from "./goals.js";
import { renderTable } from "./markdown-table.js";
import { RunSummary } from "./run-summary.js";

const missing = "-";
const ratio = { decimals: 2 };
const megabytes = { decimals: 0 };

/** Renders a run as a document: how it was measured, the tables, the goals, the details. */
export function renderMarkdown(run: BenchRun, svgPath?: string): string {
  const summary = new RunSummary(run);
  const sections = [
    `# Benchmarks\n\n${introduction}`,
    svgPath === undefined ? "" : `![Medians as bars](${basename(svgPath)})\n`,
    renderRun(run, summary),
    renderComparison("Beside message brokers", summary, ["coordination", "broker"]),
    renderComparison("Beside what Node's own stacks allow", summary, ["coordination", "limit"]),
    renderGoals(summary),
    renderSystems(run, summary),
    ...summary.modes.map((mode) => renderMode(summary, mode)),
    renderFailures(run),
  ];
  return `${sections.filter((section) => section !== "").join("\n")}`;
}

const introduction = `Written by \`npm run bench -- --json FILE --markdown FILE --svg FILE\`; \`test/bench/install.sh\` installs the brokers,
\`npm run bench -- --help\` tells the rest. One process publishes and subscribes, each server is another one, started for each
measurement on a free loopback port with an empty data folder; systems take turns. Every system carries the same
message, ${messageBytes} bytes in its JSON form, on a connection of its own for each sender and reader, through the client library
that its users would pick; a handler is handed a decoded object everywhere (JSON for the brokers). Everything delivered
is counted and its order checked: a message that is lost, doubled or reordered fails the run. Retention is above the
number of messages. Cells are medians of the repetitions, with the least and the greatest in parentheses.
`;

function renderRun(run: BenchRun, summary: RunSummary): string {
  const { processor, cores, memoryGb, system, node } = run.machine;
  const loads = run.results.map(({ loadBefore }) => loadBefore);
  const load = loads.length === 0 ? missing : `${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}`;
  const length = run.quick ? "a glance (`--quick`): short measurements" : "a full run";
  const lines = [
    `- ${run.startTime.slice(0, 10)}, ${length}, ${run.repeat === 1 ? "each once" : `${run.repeat} repetitions`}, ${formatDuration(run.durationSeconds)}.`,
    `- ${processor}, ${cores} cores, ${memoryGb} GB; ${system}; Node.js ${node}.`,
    `- Load average of the minute before each measurement: ${load}. It holds the measurement before and whatever else the machine did.`,
    `- ${summary.checkedDeliveries.toLocaleString("en")} deliveries checked, ${run.failures.length} measurements failed.`,
  ];
  return `## This run\n\n${lines.join("\n")}\n`;
}

function formatDuration(seconds: number): string {
  return seconds < 100 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

function renderComparison(title: string, summary: RunSummary, groups: readonly SystemGroup[]): string {
  const systems = summary.systems().filter((system) => groups.includes(systemTable[system].group));
  const others: readonly SystemGroup[] = groups.filter((group) => group !== "coordination");
  const modes = summary.modes.filter((mode) =>
    summary.systems(mode).some((system) => others.includes(systemTable[system].group)),
  );
  if (modes.length === 0) return "";
  const head = ["", ...systems.map((system) => systemTable[system].label)];
  const rows = modes.map((mode) => [
    modeTable[mode].title,
    ...systems.map((system) => formatSpread(summary.main(mode, system), mainFigure(mode))),
  ]);
  return `## ${title}\n\n${renderTable(head, rows)}`;
}

function renderGoals(summary: RunSummary): string {
  const goals = goalsOf(summary);
  if (goals.length === 0) return "";
  const rows = goals.map(({ text, measured, bound, direction, isMet }) => [
    text,
    formatValue(measured, ratio),
    `${direction} ${formatValue(bound, ratio)}`,
    isMet ? "yes" : "no",
  ]);
  return `## Goals\n\n${renderTable(["", "measured", "goal", "met"], rows)}`;
}

function renderSystems(run: BenchRun, summary: RunSummary): string {
  const rows = summary
    .systems()
    .map((name) => [
      systemTable[name].label,
      `\`${name}\``,
      run.versions[name] ?? missing,
      systemTable[name].acknowledges,
    ]);
  const skipped = Object.entries(run.skipped).map(([name, reason]) => `\n\`${name}\` was skipped: ${reason}.\n`);
  return `## Systems\n\n${renderTable(["", "name", "version", "acknowledges"], rows, "left")}${skipped.join("")}`;
}

function renderMode(summary: RunSummary, mode: ModeName): string {
  const { title, description, figures } = modeTable[mode];
  const shown = Object.entries(figures).filter(([name]) =>
    summary.systems(mode).some((system) => summary.find(mode, system)?.figures[name] !== undefined),
  );
  const head = [
    "",
    ...shown.map(([, { label, unit }]) => (unit === "" ? label : `${label}, ${unit}`)),
    "client CPU, s",
    "server CPU, s",
    "server memory, MB",
    "load before",
  ];
  const rows = summary.systems(mode).map((system) => {
    const found = summary.find(mode, system);
    return [
      systemTable[system].label,
      ...shown.map(([name, figure]) => formatSpread(found?.figures[name], figure)),
      formatMedian(found?.clientCpuSeconds, ratio),
      formatMedian(found?.serverCpuSeconds, ratio),
      formatMedian(found?.serverRssMb, megabytes),
      formatMedian(found?.loadBefore, { decimals: 1 }),
    ];
  });
  return `## ${mode}: ${title}\n\n${capitalized(description)}.\n\n${renderTable(head, rows)}`;
}

function renderFailures({ failures }: BenchRun): string {
  if (failures.length === 0) return "";
  const lines = failures.map(
    ({ mode, system, repetition, reason }) => `- ${mode} ${system}, repetition ${repetition}: ${reason.split("\n")[0]}`,
  );
  return `## Failed\n\n${lines.join("\n")}\n`;
}

function mainFigure(mode: ModeName): Figure {
  const [figure] = Object.values<Figure>(modeTable[mode].figures);
  if (figure === undefined) throw new Error(`${mode} has no figure`);
  return figure;
}

function formatSpread(spread: Spread | undefined, figure: Pick<Figure, "decimals">): string {
  if (spread === undefined) return missing;
  const median = formatValue(spread.median, figure);
  if (spread.min === spread.max) return median;
  return `${median} (${formatValue(spread.min, figure)} to ${formatValue(spread.max, figure)})`;
}

function formatMedian(spread: Spread | undefined, figure: Pick<Figure, "decimals">): string {
  return spread === undefined ? missing : formatValue(spread.median, figure);
}

function capitalized(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
