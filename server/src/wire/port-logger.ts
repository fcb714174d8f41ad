/** Writes one line with `fields` and a message. */
export type LogLine = (fields: Readonly<Record<string, unknown>>, message: string) => void;

/** The part of a structured logger (pino has this shape) that the port writes to. */
export interface PortLogger {
  readonly debug: LogLine;
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
}
