import type { BenchRun } from "../bench-run.js";
import type { Spread } from "../load/statistics.js";
import type { Figure } from "../modes/bench-mode.js";
import { type ModeName, modeTable } from "../modes/mode-table.js";
import { type SystemName, systemTable } from "../systems/system-table.js";
import { formatValue } from "./format-figure.js";
import { RunSummary } from "./run-summary.js";

/*
 * A panel for each mode, a bar for each system: the median, with a line from the least to the greatest. Sizes are in user
 * units, which are pixels at the picture's natural size.
 */

const columns = 2;
const panelWidth = 520;
const gap = 28;
const margin = 28;
const headHeight = 64;
const titleHeight = 34;
const barHeight = 18;
const barPitch = 26;
const labelWidth = 150;
const valueWidth = 92;
const barsLeft = labelWidth + 10;
const barsWidth = panelWidth - barsLeft - valueWidth;

const ink = "#1f2933";
const faint = "#7b8794";
const line = "#e4e7eb";
const fonts = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
const colors = {
  coordination: "#0b7285",
  "coordination-memory": "#3bc9db",
  broker: "#adb5bd",
  limit: "#dee2e6",
} as const;
/** This server with another store than the default. */
const otherStoreColor = "#3bc9db";

/** Modes whose figure is for one system alone: bars would compare nothing. */
const withoutPanel: ReadonlySet<ModeName> = new Set(["growth100k", "store", "recovery", "targets"]);

interface Bar {
  readonly system: SystemName;
  readonly spread: Spread;
}

interface Panel {
  readonly mode: ModeName;
  readonly figure: Figure;
  readonly bars: readonly Bar[];
}

/** Draws a run's medians. */
export function renderChart(run: BenchRun): string {
  const summary = new RunSummary(run);
  const panels = summary.modes.filter((mode) => !withoutPanel.has(mode)).map((mode) => panelOf(summary, mode));
  const rows = Math.ceil(panels.length / columns);
  const rowHeights = Array.from({ length: rows }, (_, row) =>
    Math.max(...panels.slice(row * columns, (row + 1) * columns).map(heightOf)),
  );
  const tops = rowHeights.map((_, row) => headHeight + margin + sum(rowHeights.slice(0, row)) + row * gap);
  const width = 2 * margin + columns * panelWidth + (columns - 1) * gap;
  const height = headHeight + 2 * margin + sum(rowHeights) + Math.max(0, rows - 1) * gap;
  const drawn = panels.map((panel, index) => {
    const left = margin + (index % columns) * (panelWidth + gap);
    return translated(left, tops[Math.floor(index / columns)] ?? 0, renderPanel(panel));
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="${fonts}" role="img" aria-label="Benchmarks">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    translated(margin, margin, renderHead(run)),
    ...drawn,
    "</svg>\n",
  ].join("\n");
}

function panelOf(summary: RunSummary, mode: ModeName): Panel {
  const systems = summary.systems(mode);
  const hasBrokers = systems.some((system) => systemTable[system].group === "broker");
  const bars = systems
    .filter((system) => !hasBrokers || systemTable[system].group !== "limit")
    .flatMap((system) => {
      const spread = summary.main(mode, system);
      return spread === undefined ? [] : [{ system, spread }];
    });
  const [figure] = Object.values<Figure>(modeTable[mode].figures);
  if (figure === undefined) throw new Error(`${mode} has no figure`);
  return { mode, figure, bars };
}

function heightOf({ bars }: Panel): number {
  return titleHeight + bars.length * barPitch;
}

function renderHead(run: BenchRun): string {
  const { processor, cores, node } = run.machine;
  const repetitions =
    run.repeat === 1 ? "one repetition" : `medians of ${run.repeat} repetitions, lines from least to greatest`;
  return [
    text({ x: 0, y: 20, size: 20, weight: 600, content: "Coordination signals beside message brokers" }),
    text({
      x: 0,
      y: 44,
      size: 12,
      color: faint,
      content: `${run.startTime.slice(0, 10)}, ${processor}, ${cores} cores, Node.js ${node}; ${run.quick ? "a glance, " : ""}${repetitions}`,
    }),
  ].join("\n");
}

function renderPanel({ mode, figure, bars }: Panel): string {
  const greatest = Math.max(...bars.map(({ spread }) => spread.max));
  const scale = greatest > 0 ? barsWidth / greatest : 0;
  const better = figure.better === "higher" ? "longer is better" : "shorter is better";
  return [
    text({ x: 0, y: 14, size: 14, weight: 600, content: modeTable[mode].title }),
    text({ x: panelWidth, y: 14, size: 11, color: faint, anchor: "end", content: better }),
    `<line x1="0" y1="23" x2="${panelWidth}" y2="23" stroke="${line}"/>`,
    ...bars.map((bar, index) => translated(0, titleHeight + index * barPitch, renderBar(bar, figure, scale))),
  ].join("\n");
}

function renderBar({ system, spread }: Bar, figure: Figure, scale: number): string {
  const { label, group } = systemTable[system];
  const isOurs = group === "coordination";
  const [length, from, to] = [spread.median, spread.min, spread.max].map((value) => Math.max(0, value * scale));
  const middle = barHeight / 2;
  const weight = isOurs ? 600 : 400;
  const end = barsLeft + (to ?? 0);
  const range =
    spread.min === spread.max
      ? ""
      : `<line x1="${round(barsLeft + (from ?? 0))}" y1="${middle}" x2="${round(end)}" y2="${middle}" stroke="${ink}" stroke-width="1.2"/>`;
  return [
    text({ x: labelWidth, y: middle + 4, size: 12, weight, anchor: "end", content: label }),
    `<rect x="${barsLeft}" y="0" width="${round(Math.max(1, length ?? 0))}" height="${barHeight}" rx="2" fill="${colorOf(system)}"/>`,
    range,
    text({ x: round(end) + 7, y: middle + 4, size: 12, weight, content: formatValue(spread.median, figure) }),
  ].join("");
}

function colorOf(system: SystemName): string {
  const { group } = systemTable[system];
  if (group !== "coordination") return colors[group];
  return system === "coordination" ? colors.coordination : otherStoreColor;
}

function translated(x: number, y: number, content: string): string {
  return `<g transform="translate(${x} ${y})">${content}</g>`;
}

interface TextOptions {
  readonly x: number;
  readonly y: number;
  readonly size: number;
  readonly weight?: number;
  readonly color?: string;
  readonly anchor?: "start" | "end";
  readonly content: string;
}

function text({ x, y, size, weight = 400, color = ink, anchor = "start", content }: TextOptions): string {
  const style = `font-size="${size}" font-weight="${weight}" fill="${color}" text-anchor="${anchor}"`;
  return `<text x="${x}" y="${y}" ${style}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
