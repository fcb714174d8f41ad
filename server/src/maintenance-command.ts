import { Command, CommanderError } from "commander";
import { serverFlags, variableOf } from "./server-flags.js";
import type { InspectionReport, StoreMaintenance } from "./store/store-maintenance.js";

/** What a maintenance command says, and the exit code it ends with. */
export interface MaintenanceOutput {
  readonly write: (text: string) => void;
  readonly progress: (text: string) => void;
}

/** A command on a store: it runs, writes its result and answers the exit code. */
export type MaintenanceRun = (output: MaintenanceOutput) => Promise<number>;

/** Whether a command line asks for work on a store instead of for a server. */
export function isMaintenance(args: readonly string[]): boolean {
  return args[0] !== undefined && args[0] in summaries;
}

/** One line for each command, for the server's help. */
export function maintenanceHelp(): string {
  const lines = Object.entries(summaries).map(([name, summary]) => `  ${name.padEnd(8)} ${summary}`);
  return ["Work on a store (each with --help):", ...lines].join("\n");
}

/** Reads a maintenance command line. Answers what to run, or what to print and the exit code. */
export function parseMaintenance(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): { readonly run: MaintenanceRun } | { readonly text: string; readonly exitCode: number } {
  const printed: string[] = [];
  let run: MaintenanceRun | undefined;
  const program = createProgram(printed, env, (chosen) => {
    run = chosen;
  });
  try {
    program.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const text = error.exitCode === 0 ? printed.join("") : `${error.message.replace(/^error: /, "")}\n`;
    return { text, exitCode: error.exitCode === 0 ? 0 : 2 };
  }
  return run === undefined ? { text: program.helpInformation(), exitCode: 2 } : { run };
}

const summaries = {
  doctor: "verify every checksum and sequence of a store, and say what it promises; changes nothing",
  backup: "copy a store as it is at one moment, also while a server runs on it",
  restore: "make a store from a backup, with new epochs, so that no old cursor reads another log",
} as const;

function createProgram(
  printed: string[],
  env: Readonly<Record<string, string | undefined>>,
  choose: (run: MaintenanceRun) => void,
): Command {
  const quiet = { writeOut: (text: string) => void printed.push(text), writeErr: () => {} };
  const program = new Command("coordination-server").exitOverride().configureOutput(quiet);
  const defaultStore = env[variableOf("store")] || serverFlags.store.defaultText;
  const storeText = `the store; also ${variableOf("store")}`;
  const command = (name: keyof typeof summaries): Command =>
    program
      .command(name)
      .description(summaries[name])
      .helpOption("--help", "print this help")
      .exitOverride()
      .configureOutput(quiet)
      .option("--store <url>", storeText, defaultStore);
  command("doctor")
    .option("--json", "print the report as JSON (default: text)")
    .action(({ store, json }: { store: string; json?: true }) => choose(doctor(store, json === true)));
  command("backup")
    .argument("<directory>", "where the copy goes; must not exist yet, or be empty")
    .action((directory: string, { store }: { store: string }) => choose(backup(store, directory)));
  command("restore")
    .argument(
      "[backup]",
      "directory of a backup; without one the store's own epochs are renewed, as after a restore of its database",
    )
    .action((directory: string | undefined, { store }: { store: string }) => choose(restore(store, directory)));
  return program;
}

function doctor(store: string, asJson: boolean): MaintenanceRun {
  return async ({ write, progress }) => {
    const report = await (await maintenanceOf(store)).inspect((rowCount) => progress(`${rowCount} rows read`));
    write(asJson ? jsonReport(report) : textReport(report));
    return report.damages.length === 0 ? 0 : 1;
  };
}

function backup(store: string, directory: string): MaintenanceRun {
  return async ({ write }) => {
    await (await maintenanceOf(store)).backup(directory);
    write(
      `backed up ${store} to ${directory}; restore it with: coordination-server restore ${directory} --store lmdb:NEW_DIRECTORY\n`,
    );
    return 0;
  };
}

function restore(store: string, directory: string | undefined): MaintenanceRun {
  return async ({ write }) => {
    const maintenance = await maintenanceOf(store);
    const count = directory === undefined ? await maintenance.renewEpochs() : await maintenance.restore(directory);
    const from = directory === undefined ? "" : ` from ${directory}`;
    write(`restored ${store}${from}: ${count} coordinations, each with a new epoch; old cursors get EPOCH_CHANGED\n`);
    return 0;
  };
}

/** Loads the work on stores only when there is some: a server starts sooner without it. */
async function maintenanceOf(store: string): Promise<StoreMaintenance> {
  const { openMaintenance } = await import("./store/open-maintenance.js");
  return openMaintenance(store);
}

function textReport(report: InspectionReport): string {
  const signals = report.coordinations.reduce((sum, { signalCount }) => sum + signalCount, 0);
  return [
    `store         ${report.store}`,
    `rows          ${report.rowCount} verified`,
    `coordinations ${report.coordinations.length}, ${signals} signals`,
    ...report.coordinations.slice(0, maxShownCoordinations).map(coordinationLine),
    ...(report.coordinations.length > maxShownCoordinations ? ["  ... (--json lists them all)"] : []),
    "guarantees",
    ...report.guarantees.map(([name, meaning]) => `  ${name.padEnd(11)} ${meaning}`),
    ...report.damages.map((damage) => `damage        ${damage}`),
    `verdict       ${report.damages.length === 0 ? "sound" : `${report.damages.length} damages`}`,
    "",
  ].join("\n");
}

const maxShownCoordinations = 20;

function coordinationLine(found: InspectionReport["coordinations"][number]): string {
  const { coordinationId, headSequence, oldestSequence, signalCount, journalRecordCount, epoch } = found;
  const counts = `${signalCount} signals, ${journalRecordCount} journal records`;
  return `  ${coordinationId}: head ${headSequence}, oldest ${oldestSequence}, ${counts}, epoch ${epoch}`;
}

function jsonReport(report: InspectionReport): string {
  const text = JSON.stringify(report, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value), 2);
  return `${text}\n`;
}
