import {
  duration,
  durationOrOff,
  type FlagValue,
  oneOf,
  optionalFile,
  originList,
  pathList,
  storeUrl,
  wholeNumber,
  word,
} from "./flag-values.js";

/** One flag: its name, its default and what it means. Its variable is `COORDINATION_` and the name in upper case. */
export interface Flag<Value> {
  /** Without the leading dashes. */
  readonly name: string;
  /** In the form in which it is given. */
  readonly defaultText: string;
  /** A phrase that starts in lower case and has no full stop. */
  readonly description: string;
  readonly value: FlagValue<Value>;
}

function flag<Value>(name: string, value: FlagValue<Value>, defaultText: string, description: string): Flag<Value> {
  return { name, value, defaultText, description };
}

const validation = oneOf("<policy>", ["off", "warn", "enforce"]);

/** Every flag of the server, in the order of the help, which is made from it as are parsing and the README's table. */
export const serverFlags = {
  host: flag(
    "host",
    word("<host>", "a host name or address"),
    "127.0.0.1",
    "address to listen on; 0.0.0.0 for every network",
  ),
  port: flag("port", wholeNumber(0, 65_535), "50051", "port to listen on; 0 picks a free one"),
  store: flag(
    "store",
    storeUrl,
    "lmdb:.coordination",
    "where signals are kept: lmdb:DIRECTORY; postgres://USER:PASSWORD@HOST:PORT/DATABASE, which several servers can share; or memory: to lose them at the end",
  ),
  maxHistorySignals: flag(
    "max-history-signals",
    wholeNumber(1, 1_000_000_000),
    "10000",
    "signals kept per coordination; the oldest go first",
  ),
  retentionAgeMs: flag(
    "retention-age",
    durationOrOff("1s", "87600h"),
    "off",
    "how long signals are kept, if they are not too many before; off keeps them whatever their age",
  ),
  senderValidation: flag(
    "sender-validation",
    validation,
    "warn",
    "signals of agents that are not registered: off lets them pass, warn logs them, enforce refuses them",
  ),
  recipientValidation: flag(
    "recipient-validation",
    validation,
    "enforce",
    "signals for agents that were never seen: off lets them pass, warn logs them, enforce refuses them",
  ),
  maxCoordinations: flag(
    "max-coordinations",
    wholeNumber(1, 100_000_000),
    "100000",
    "coordinations that can exist; one more is refused",
  ),
  maxSubscriptions: flag(
    "max-subscriptions",
    wholeNumber(1, 10_000_000),
    "50000",
    "subscriptions that can be open; one more is refused",
  ),
  redact: flag(
    "redact",
    pathList,
    "",
    "values of signals that leave the server only as [redacted], whoever reads: a comma-separated list of at most 32 paths such as payload.token; agents' names are hidden in signals only",
  ),
  transformFile: flag(
    "transform-file",
    optionalFile,
    "",
    "file with a SignalTransform as JSON that every signal goes through before it leaves the server; in its readMask, as in all JSON of protobuf, payload.apiKey means the key api_key",
  ),
  waitValidation: flag(
    "wait-validation",
    validation,
    "off",
    "waits for agents that were never seen: off lets them pass, because agents may start in any order, warn logs them, enforce refuses them",
  ),
  maxWaits: flag(
    "max-waits",
    wholeNumber(1, 10_000_000),
    "20000",
    "calls that can wait for conditions, a reply or acknowledgements; one more is refused",
  ),
  busyStallMs: flag(
    "busy-stall-after",
    duration("100ms", "24h"),
    "5m",
    "how long an agent that works, or that others wait for, may make no progress before it counts as stalled",
  ),
  waitingStallMs: flag(
    "waiting-stall-after",
    duration("100ms", "24h"),
    "10m",
    "how long an agent may wait for agents that make no progress before it counts as stalled",
  ),
  subscriberStallTimeoutMs: flag(
    "subscriber-stall-timeout",
    duration("100ms", "24h"),
    "60s",
    "how long a subscriber may accept nothing while something waits for it",
  ),
  maxConnections: flag(
    "max-connections",
    wholeNumber(1, 1_000_000),
    "20000",
    "connections that can be open; one more is closed at once",
  ),
  maxStreamsPerConnection: flag(
    "max-streams-per-connection",
    wholeNumber(1, 1_000_000),
    "10000",
    "calls that can be open on one connection; one more is refused",
  ),
  maxCalls: flag(
    "max-calls",
    wholeNumber(1, 10_000_000),
    "100000",
    "calls that can be open on all connections together; one more is refused",
  ),
  maxCallTimeMs: flag(
    "max-call-time",
    duration("1s", "576h"),
    "576h",
    "longest deadline a call can have; a longer one is shortened to it",
  ),
  prefaceTimeoutMs: flag(
    "preface-timeout",
    duration("100ms", "1h"),
    "5s",
    "how long a new connection may take until its first request",
  ),
  requestTimeoutMs: flag(
    "request-timeout",
    duration("100ms", "1h"),
    "30s",
    "how long one request may take to arrive in full",
  ),
  idleTimeoutMs: flag(
    "idle-timeout",
    duration("100ms", "24h"),
    "5m",
    "how long a connection may be without a call before it is closed",
  ),
  keepaliveIntervalMs: flag(
    "keepalive-interval",
    duration("100ms", "24h"),
    "30s",
    "how often a silent connection is asked whether its client is there",
  ),
  shutdownGraceMs: flag(
    "shutdown-grace",
    duration("0s", "9s"),
    "8s",
    "how long open calls may take to end after SIGTERM",
  ),
  allowedOrigins: flag(
    "cors-origin",
    originList,
    "",
    "web origins whose pages may call the server: a comma-separated list, or * for all",
  ),
  logLevel: flag(
    "log-level",
    oneOf("<level>", ["fatal", "error", "warn", "info", "debug", "trace", "silent"]),
    "info",
    "least level that is logged to the standard error: fatal, error, warn, info, debug, trace or silent",
  ),
  logFormat: flag(
    "log-format",
    oneOf("<form>", ["json", "text"]),
    "json",
    "form of the log: json for machines, text for people",
  ),
} as const;

/** Name of the environment variable that stands for a flag. */
export function variableOf(name: string): string {
  return `COORDINATION_${name.toUpperCase().replaceAll("-", "_")}`;
}
