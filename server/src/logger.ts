import { type DestinationStream, type Logger, pino } from "pino";
import type { ServerConfig } from "./config.js";
import { formatLogLine } from "./format-log-line.js";

/** Creates the server's log, to the standard error unless `destination` says otherwise; the standard output stays free. */
export function createLogger(
  config: Pick<ServerConfig, "logLevel" | "logFormat">,
  destination: DestinationStream = standardError(),
): Logger {
  const stream = config.logFormat === "json" ? destination : asText(destination);
  return pino({ name: "coordination-server", level: config.logLevel, redact: ["password", "*.password"] }, stream);
}

/** Written at once, so that the last line before the process ends is there. */
function standardError(): DestinationStream {
  const destination = pino.destination({ fd: 2, sync: true });
  // Nobody reads the log any more; that must not end the server.
  destination.on("error", () => {});
  return destination;
}

function asText(destination: DestinationStream): DestinationStream {
  return { write: (line) => destination.write(formatLogLine(line)) };
}
