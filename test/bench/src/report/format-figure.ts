import type { BenchMode, Figure } from "../modes/bench-mode.js";

/** A figure's value with thousands separated and as many decimals as mean something. */
export function formatValue(value: number, { decimals }: Pick<Figure, "decimals">): string {
  if (!Number.isFinite(value)) return "-";
  return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** All figures of one measurement in one line. */
export function formatFigures(mode: BenchMode, values: Readonly<Record<string, number>>): string {
  return Object.entries(mode.figures)
    .filter(([name]) => values[name] !== undefined)
    .map(([name, figure]) => `${figure.label} ${formatValue(values[name] ?? Number.NaN, figure)}${unitOf(figure)}`)
    .join(", ");
}

function unitOf({ unit }: Figure): string {
  return /^\w/.test(unit) || unit === "µs" ? ` ${unit}` : unit;
}
