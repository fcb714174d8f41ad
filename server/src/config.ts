import { Command, CommanderError } from "commander";
import type { z } from "zod";
import { maintenanceHelp } from "./maintenance-command.js";
import { type Flag, serverFlags, variableOf } from "./server-flags.js";
import { redactedUrl } from "./store/redacted-url.js";

/** The server's settings, every one present and within its bounds. Times are in milliseconds. */
export type ServerConfig = {
  readonly [Key in keyof typeof serverFlags]: z.output<(typeof serverFlags)[Key]["value"]["schema"]>;
};

/** What a command line asks for. */
export type CommandLine =
  | { readonly kind: "serve"; readonly config: ServerConfig }
  /** Print `text` and end well: help or version. */
  | { readonly kind: "print"; readonly text: string }
  /** Print `message`, one line, and end with 2. */
  | { readonly kind: "refused"; readonly message: string };

/** What a command line is read from. */
export interface CommandLineInput {
  /** The arguments after the program's name. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What `--version` prints. */
  readonly version: string;
}

/** Reads the settings: a flag wins over its variable, a variable over the default. An empty variable counts as absent. */
export function parseCommandLine({ args, env, version }: CommandLineInput): CommandLine {
  const printed: string[] = [];
  const command = createCommand(version, printed);
  try {
    command.parse(args, { from: "user" });
    return { kind: "serve", config: readConfig(command.opts(), env) };
  } catch (error) {
    if (error instanceof RefusedValue) return { kind: "refused", message: error.message };
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: "print", text: printed.join("") };
    return { kind: "refused", message: oneLine(error.message) };
  }
}

/** The table of flags as Markdown, for the README. */
export function renderFlagTable(): string {
  const rows = Object.values(serverFlags).map(
    ({ name, defaultText, description }) =>
      `| \`--${name}\` | \`${variableOf(name)}\` | ${defaultText === "" ? "" : `\`${defaultText}\``} | ${description} |`,
  );
  return ["| flag | variable | default | meaning |", "|---|---|---|---|", ...rows, ""].join("\n");
}

class RefusedValue extends Error {}

function createCommand(version: string, printed: string[]): Command {
  const command = new Command("coordination-server")
    .description("Keeps and delivers the signals of coordinating agents, over gRPC, gRPC-Web and Connect on one port.")
    .version(version, "--version", "print the version")
    .helpOption("--help", "print this help")
    .addHelpText("after", `\n${maintenanceHelp()}`)
    .addHelpText("after", "\nEach flag can also be given as the variable in its brackets; the flag wins.")
    .exitOverride()
    .configureOutput({ writeOut: (text) => void printed.push(text), writeErr: () => {} });
  for (const { name, value, defaultText, description } of Object.values(serverFlags)) {
    const shownDefault = defaultText === "" ? "none" : defaultText;
    command.option(`--${name} ${value.placeholder}`, `${description} (default ${shownDefault}; ${variableOf(name)})`);
  }
  return command;
}

function readConfig(given: Record<string, unknown>, env: CommandLineInput["env"]): ServerConfig {
  const entries = Object.entries<Flag<unknown>>(serverFlags).map(([key, flag]) => [key, readFlag(flag, given, env)]);
  // Each value comes out of the schema of its own key.
  return Object.fromEntries(entries) as ServerConfig;
}

function readFlag<Value>(flag: Flag<Value>, given: Record<string, unknown>, env: CommandLineInput["env"]): Value {
  const fromFlag = given[attributeOf(flag.name)];
  if (typeof fromFlag === "string") return parseValue(flag, `--${flag.name}`, fromFlag);
  const variable = variableOf(flag.name);
  const fromEnv = env[variable] ?? "";
  if (fromEnv !== "") return parseValue(flag, variable, fromEnv);
  return parseValue(flag, `--${flag.name}`, flag.defaultText);
}

function parseValue<Value>({ value }: Flag<Value>, source: string, text: string): Value {
  const result = value.schema.safeParse(text);
  if (result.success) return result.data;
  throw new RefusedValue(`${source} is "${redactedUrl(text)}", allowed is ${value.allowed}`);
}

/** The name under which commander keeps a flag. */
function attributeOf(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_dash, letter: string) => letter.toUpperCase());
}

/** commander's messages begin with "error: " and may suggest a name in a second line. */
function oneLine(message: string): string {
  return message
    .replace(/^error: /, "")
    .replaceAll("\n", " ")
    .trim();
}
