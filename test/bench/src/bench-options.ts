import { Command, InvalidArgumentError, Option } from "commander";
import { type ModeName, modeTable } from "./modes/mode-table.js";
import { type SystemName, systemTable } from "./systems/system-table.js";

/** What to measure, and where to write it. */
export interface BenchOptions {
  readonly systems: readonly SystemName[];
  readonly modes: readonly ModeName[];
  readonly quick: boolean;
  readonly repeat: number;
  /** The load average above which a measurement waits. */
  readonly maxLoad: number;
  readonly json?: string;
  readonly markdown?: string;
  readonly svg?: string;
  readonly profile?: string;
}

const fullRepeat = 3;
const maxRepeat = 100;

const examples = `Examples:
  npm run bench -- --quick                                                  a glance at everything
  npm run bench -- --systems coordination --modes recovery --repeat 1       recovery on 1,000,000 signals, a minute
`;

/** Reads the command line. Prints help or what is wrong, and ends the process, where there is nothing to run. */
export function parseBenchOptions(args: readonly string[]): BenchOptions {
  const command = new Command("npm run bench --")
    .description(
      "Measures the coordination server beside message brokers and what Node's own stacks allow: the same work, in the same run.",
    )
    .addOption(listOption("--systems <names>", "what to measure", systemTable))
    .addOption(listOption("--modes <names>", "which work", modeTable))
    .option("--quick", "short measurements, each once: a glance", false)
    .addOption(
      new Option("--repeat <n>", "how often each measurement is made, the systems in turn")
        .argParser(wholeNumber)
        .default(undefined, `${fullRepeat}, with --quick 1`),
    )
    .addOption(
      new Option("--max-load <n>", "wait, at most ten minutes, while the load average of the last minute is above")
        .argParser(positiveNumber)
        .default(Number.POSITIVE_INFINITY, "no limit"),
    )
    .addOption(new Option("--json <file>", "write everything that was measured").default(undefined, "not written"))
    .addOption(new Option("--markdown <file>", "write the tables").default(undefined, "only printed"))
    .addOption(new Option("--svg <file>", "write a bar chart").default(undefined, "not written"))
    .addOption(
      new Option(
        "--profile <directory>",
        "write processor profiles of the client and of servers that run on Node, and a summary",
      ).default(undefined, "not written"),
    )
    .addHelpText("after", `\n${describe("Systems", systemTable)}\n${describe("Modes", modeTable)}\n${examples}`)
    .helpOption("--help", "show this");
  command.parse([...args], { from: "user" });
  const options = command.opts();
  return { ...(options as BenchOptions), repeat: options["repeat"] ?? (options["quick"] ? 1 : fullRepeat) };
}

function listOption(flags: string, description: string, table: Readonly<Record<string, unknown>>): Option {
  const names = Object.keys(table);
  const parse = (text: string) => {
    const chosen = text.split(",").map((name) => name.trim());
    const unknown = chosen.filter((name) => !names.includes(name));
    if (unknown.length > 0) throw new InvalidArgumentError(`${unknown.join(", ")} is none of ${names.join(", ")}`);
    return names.filter((name) => chosen.includes(name));
  };
  return new Option(flags, `${description}, comma-separated`).argParser(parse).default(names, "all");
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > maxRepeat) {
    throw new InvalidArgumentError(`it must be a whole number from 1 to ${maxRepeat}`);
  }
  return value;
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("it must be a number greater than 0");
  return value;
}

function describe(
  title: string,
  table: Readonly<Record<string, { readonly label?: string; readonly title?: string }>>,
) {
  const lines = Object.entries(table).map(([name, { label, title }]) => `  ${name.padEnd(20)} ${label ?? title}`);
  return `${title}:\n${lines.join("\n")}\n`;
}
