import { Client, type ClientConfig } from "pg";
import { redactedUrl } from "../redacted-url.js";
import { codeOf } from "./postgres-errors.js";

/** How long connecting may take, in milliseconds. */
const connectTimeoutMs = 5_000;
/** The longest a statement may run in the database; a commit waits for its disk and its standbys. */
const statementTimeoutMs = 10_000;
/** When a statement counts as lost on its way: later than the database itself would have ended it. */
const answerTimeoutMs = 12_000;
/** How long a statement waits for a row that another server holds: longer than such a server may be silent. */
const lockTimeoutMs = 5_000;
/** After this silence of a server in the middle of a transaction the database takes back what it holds: it may be paused. */
const silenceTimeoutMs = 2_000;

/**
 * What every connection begins with. Plans are made once: a statement's arrays differ in length, not in what is best to do
 * with them. That is to find rows by index, a few at a time, however small the tables were when the plan was made: they grow,
 * and a plan that reads them whole stays. The database asks for a lost peer's life soon, because its locks keep others waiting.
 */
export const sessionParameters: Readonly<Record<string, string>> = {
  plan_cache_mode: "force_generic_plan",
  jit: "off",
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  tcp_keepalives_idle: "5",
  tcp_keepalives_interval: "2",
  tcp_keepalives_count: "3",
};

/** Refused at the start: who switches it off under a server that runs does not weaken what that answers for. */
const keepSynchronous =
  "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/** How connections are encrypted, with the meaning that PostgreSQL's own tools give the words. */
const sslModes = ["disable", "require", "verify-ca", "verify-full"];

/** Where a database is, as it may be shown, and how connections to it are made. */
export interface ConnectionSettings {
  /** The URL without password and parameters. */
  readonly url: string;
  readonly config: ClientConfig;
}

/** Reads a store's URL. Throws an Error that says how it should look. */
export function connectionSettings(url: string): ConnectionSettings {
  const shown = redactedUrl(url);
  const config: ClientConfig = {
    application_name: "coordination-server",
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    query_timeout: answerTimeoutMs,
    lock_timeout: lockTimeoutMs,
    idle_in_transaction_session_timeout: silenceTimeoutMs,
    keepAlive: true,
    connectionString: withSslMode(url),
  };
  try {
    new Client(config);
  } catch (error) {
    const why = codeOf(error) === "ENOENT" ? `: ${messageOf(error)}` : "";
    throw new Error(
      `store "${shown}" is not a URL that PostgreSQL takes${why}: use postgres://USER:PASSWORD@HOST:PORT/DATABASE, special characters as %XX`,
    );
  }
  return { url: shown, config };
}

/** The URL for the driver, which ignores words that it does not know and has meanings of its own for some that it does. */
function withSslMode(url: string): string {
  const parameters = new URLSearchParams(url.split("?", 2)[1]);
  const mode = parameters.get("sslmode");
  if (mode === null) return url;
  if (!sslModes.includes(mode)) {
    throw new Error(`store ${redactedUrl(url)} has sslmode "${mode}", allowed is one of ${sslModes.join(", ")}`);
  }
  if (mode === "verify-ca" && !parameters.has("sslrootcert")) {
    throw new Error(
      `store ${redactedUrl(url)} has sslmode verify-ca, which needs sslrootcert=FILE with the authority's certificate`,
    );
  }
  return `${url}&uselibpqcompat=true`;
}

/** Makes a new connection ready. */
export async function beginSession(client: { query(text: string): Promise<unknown> }): Promise<void> {
  const settings = Object.entries(sessionParameters).map(([name, value]) => `SET ${name} = ${value}`);
  await client.query([...settings, keepSynchronous].join("; "));
}

/** What to tell somebody whose server cannot start because it cannot connect. */
export function connectFailure({ url, config }: ConnectionSettings, error: unknown): Error {
  const { host, port, user, database } = new Client(config);
  const place = host.startsWith("/") ? host : `${host}:${port}`;
  return new Error(`store ${url} cannot be opened: ${explain(error, { place, user, database })}`);
}

interface Target {
  readonly place: string;
  readonly user: string | undefined;
  readonly database: string | undefined;
}

function explain(error: unknown, { place, user, database }: Target): string {
  const code = codeOf(error);
  switch (code) {
    case "ECONNREFUSED":
    case "ENOENT":
      return `nothing listens at ${place}: check that PostgreSQL runs there, and host and port`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the host of ${place} is not known: check its name`;
    case "ETIMEDOUT":
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return `${place} cannot be reached (${code}): check host, port and network`;
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "CERT_SIGNATURE_FAILURE":
    case "CERT_HAS_EXPIRED":
    case "CERT_NOT_YET_VALID":
      return `the certificate of PostgreSQL at ${place} is not trusted (${messageOf(error)}): name its authority's with sslrootcert=FILE`;
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `the certificate of PostgreSQL at ${place} is for another host: use the name that it has, or sslmode=verify-ca`;
    case "28P01":
    case "28000":
      return `PostgreSQL at ${place} does not let in user "${user}": check the password and pg_hba.conf (${messageOf(error)})`;
    case "3D000":
      return `PostgreSQL at ${place} has no database "${database}": create it, for example with createdb ${database}`;
    case "42501":
      return `user "${user}" may not do what is needed (${messageOf(error)}): GRANT CREATE ON DATABASE "${database}" TO "${user}"`;
    case "53300":
      return `PostgreSQL at ${place} has no connection left (${messageOf(error)}): raise max_connections`;
    case "57P03":
      return `PostgreSQL at ${place} is starting or stopping (${messageOf(error)}): try again in a moment`;
    case "57014":
    case "55P03":
      return `another server is preparing the database and takes long: try again in a moment`;
    default:
      return explainMessage(messageOf(error), place);
  }
}

/** What the driver says without a code. */
function explainMessage(message: string, place: string): string {
  switch (message) {
    case "timeout expired":
      return `${place} takes connections but does not answer within ${connectTimeoutMs / 1_000} s: check that PostgreSQL is there`;
    case "The server does not support SSL connections":
      return `PostgreSQL at ${place} has no TLS: switch it on there (ssl = on), or use sslmode=disable`;
    default:
      return `${message} (at ${place})`;
  }
}

function messageOf(error: unknown): string {
  const message = error instanceof Object && "message" in error ? String(error.message) : String(error);
  return message === "" ? codeOf(error) : message;
}
