import type { Logger } from "pino";
import { parseCommandLine, type ServerConfig } from "./config.js";
import { createLogger } from "./logger.js";
import { isMaintenance, parseMaintenance } from "./maintenance-command.js";
import { type RunningServer, startServer } from "./server.js";
import { redactedUrl } from "./store/redacted-url.js";
import { serverVersion } from "./version.js";

/** What whoever runs the server can add to it. */
export interface MainOptions {
  /** Called when the server listens, after the line that says so. */
  readonly onListening?: (url: string) => void;
}

/** The most that ending may take in all; then the process ends whatever is still open. */
const shutdownLimitMs = 9_500;
/** How long answers that say what is wrong may take to leave when the store has failed, and the most that takes in all. */
const answersGraceMs = 500;
const abandonLimitMs = 1_000;

/**
 * Runs the server as a process: reads the command line and the environment, prints one line when it listens, and ends
 * with 0 after SIGTERM or SIGINT, 1 when it cannot start or go on, 2 when a setting is wrong.
 */
export async function main(options: MainOptions = {}): Promise<void> {
  const args = process.argv.slice(2);
  if (isMaintenance(args)) return maintain(args);
  const commandLine = parseCommandLine({ args, env: process.env, version: serverVersion });
  switch (commandLine.kind) {
    case "print":
      process.stdout.write(commandLine.text);
      return;
    case "refused":
      complain(commandLine.message);
      process.exitCode = 2;
      return;
    case "serve":
      await serve(commandLine.config, options);
  }
}

async function maintain(args: readonly string[]): Promise<void> {
  const command = parseMaintenance(args, process.env);
  if ("text" in command) {
    if (command.exitCode === 0) process.stdout.write(command.text);
    else complain(command.text.trim());
    process.exitCode = command.exitCode;
    return;
  }
  try {
    process.exitCode = await command.run({
      write: (text) => void process.stdout.write(text),
      progress: (text) => void process.stderr.write(`${text}\n`),
    });
  } catch (error) {
    complain(messageOf(error));
    process.exitCode = 1;
  }
}

async function serve(config: ServerConfig, { onListening }: MainOptions): Promise<void> {
  const logger = createLogger(config);
  const onUnforeseen = (error: unknown) => failStop(logger, error);
  process.on("uncaughtException", onUnforeseen);
  process.on("unhandledRejection", onUnforeseen);
  const signal = firstSignal();
  let running: RunningServer | undefined;
  const server = await startServer(config, { logger, onFatal: (error) => abandon(logger, error, running) }).catch(
    (error: unknown) => {
      logger.debug({ err: error }, "cannot start");
      complain(messageOf(error));
      process.exit(1);
    },
  );
  running = server;
  process.stdout.write(`listening on ${server.url}\n`);
  logger.info({ url: server.url, version: serverVersion, store: redactedUrl(config.store) }, "listening");
  onListening?.(server.url);
  await stop(server, await signal, logger);
}

async function stop(server: RunningServer, signal: NodeJS.Signals, logger: Logger): Promise<never> {
  logger.info({ signal }, "shutting down");
  setTimeout(() => {
    complain(`not shut down after ${shutdownLimitMs} ms, ending anyway`);
    process.exit(1);
  }, shutdownLimitMs);
  await server.stop();
  logger.info({}, "shut down");
  process.exit(0);
}

/** Resolves with the first signal to end. The second ends the process at once, with the code that shells give it. */
function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let isFirst = true;
    const onSignal = (signal: NodeJS.Signals, number: number) => {
      if (!isFirst) process.exit(128 + number);
      isFirst = false;
      resolve(signal);
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}

/** Ends the process: it is in a state that nobody foresaw, and would serve doubtful data. */
function failStop(logger: Logger, error: unknown): never {
  reportFatal(logger, error);
  process.exit(1);
}

/** Ends the process because its store has failed, as soon as those who wait for an answer have heard of it. */
function abandon(logger: Logger, error: unknown, server: RunningServer | undefined): void {
  if (server === undefined) failStop(logger, error);
  reportFatal(logger, error);
  setTimeout(() => process.exit(1), abandonLimitMs);
  void server.abandon(answersGraceMs).finally(() => process.exit(1));
}

function reportFatal(logger: Logger, error: unknown): void {
  logger.fatal({ err: error }, "fatal error");
  complain(`fatal: ${messageOf(error)}`);
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replaceAll("\n", " ");
}

function complain(message: string): void {
  process.stderr.write(`coordination-server: ${message}\n`);
}
