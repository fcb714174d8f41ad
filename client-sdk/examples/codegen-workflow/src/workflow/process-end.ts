import { constants } from "node:os";

/** What the exit code of a program of the workflow says. */
export const exitCodes = {
  /** It failed. */
  failed: 1,
  /** Its command line cannot be understood. */
  usage: 2,
  /** It did what it could and completed with an error; the other agents know, and go on without it. */
  completedWithError: 3,
} as const;

/** Being told to stop. */
export interface Interruption extends Disposable {
  /** Aborted when the process is told to stop. */
  readonly signal: AbortSignal;
  /** 128 and the signal's number, as shells have it; undefined while nobody told the process to stop. */
  readonly exitCode: number | undefined;
}

const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Notices SIGINT, SIGTERM, SIGHUP, and the end of the process that started this one with a channel to it. */
export function interruption(): Interruption {
  const controller = new AbortController();
  let exitCode: number | undefined;
  const stop = (name: (typeof stopSignals)[number]) => {
    exitCode ??= 128 + constants.signals[name];
    controller.abort(new Error(`interrupted by ${name}`));
  };
  const onDisconnect = () => stop("SIGHUP");
  for (const name of stopSignals) process.on(name, stop);
  process.on("disconnect", onDisconnect);
  // The channel carries nothing; listening for its end must not keep the process alive.
  process.channel?.unref();
  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode;
    },
    [Symbol.dispose]() {
      for (const name of stopSignals) process.off(name, stop);
      process.off("disconnect", onDisconnect);
    },
  };
}
