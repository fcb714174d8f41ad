/** What a scrape of `/metrics` said, read as strictly as Prometheus' text format 0.0.4 is defined. */
export interface PrometheusText {
  /** Type of each metric family: counter, gauge, histogram, summary or untyped. */
  readonly types: ReadonlyMap<string, string>;
  readonly samples: readonly PrometheusSample[];
  /** The value of one sample, 0 when there is none with this name and these labels. */
  value(name: string, labels?: Readonly<Record<string, string>>): number;
}

/** One line with a value. */
export interface PrometheusSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/;
const sampleLine = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$/;
const labelPair = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;
const typeNames = new Set(["counter", "gauge", "histogram", "summary", "untyped"]);

/** Reads a scrape. Throws an Error that names the first line that is not of the format. */
export function parsePrometheusText(text: string): PrometheusText {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const types = new Map<string, string>();
  const samples: PrometheusSample[] = [];
  for (const line of text.split("\n")) {
    if (line === "") continue;
    if (line.startsWith("#")) readComment(line, types);
    else samples.push(readSample(line));
  }
  for (const { name } of samples) if (!isDeclared(name, types)) throw new Error(`sample ${name} has no # TYPE`);
  return { types, samples, value: (name, labels = {}) => sampleValue(samples, name, labels) };
}

function readComment(line: string, types: Map<string, string>): void {
  const [, kind, name = "", rest = ""] = comment.exec(line) ?? [];
  if (kind === undefined) throw new Error(`not a comment of the format: ${line}`);
  if (kind === "HELP") return;
  if (!typeNames.has(rest) || types.has(name)) throw new Error(`unknown or repeated type: ${line}`);
  types.set(name, rest);
}

function readSample(line: string): PrometheusSample {
  const [, name = "", labels = "", number = ""] = sampleLine.exec(line) ?? [];
  const value = number === "+Inf" ? Number.POSITIVE_INFINITY : Number(number);
  if (name === "" || (Number.isNaN(value) && !/^nan$/i.test(number)))
    throw new Error(`not a sample of the format: ${line}`);
  return { name, labels: readLabels(labels, line), value };
}

function readLabels(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let end = 0;
  while (end < text.length) {
    labelPair.lastIndex = end;
    const [pair, name = "", value = ""] = labelPair.exec(text) ?? [];
    if (pair === undefined) throw new Error(`not labels of the format: ${line}`);
    labels[name] = value;
    end += pair.length;
  }
  return labels;
}

function isDeclared(name: string, types: ReadonlyMap<string, string>): boolean {
  return types.has(name) || types.get(name.replace(/_(bucket|sum|count)$/, "")) === "histogram";
}

function sampleValue(
  samples: readonly PrometheusSample[],
  name: string,
  labels: Readonly<Record<string, string>>,
): number {
  const wanted = Object.entries(labels);
  const found = samples.find(
    (sample) =>
      sample.name === name &&
      Object.keys(sample.labels).length === wanted.length &&
      wanted.every(([label, value]) => sample.labels[label] === value),
  );
  return found?.value ?? 0;
}
