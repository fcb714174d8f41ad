import { Client, type ClientConfig } from "pg";
import { checkDatabase } from "./check-database.js";
import { beginSession } from "./connection-settings.js";
import { takeSlot } from "./server-slots.js";

const channel = "coordination_signals";
/** How long an answer may take before the connection counts as lost: nothing that is asked here takes long. */
const answerTimeoutMs = 5_000;
/** How long the other side may take to notice that a connection ends. */
const endTimeoutMs = 1_000;

/** What a session is opened with. */
export interface ControlSessionOptions {
  readonly config: ClientConfig;
  /** The number to take if nobody else has it. */
  readonly previousSlot: number;
  /** Told what other servers say. */
  readonly onHint: (payload: string) => void;
}

/** Connects, and takes a number among the servers that share the database. Throws what keeps it from either. */
export async function openControlSession(options: ControlSessionOptions): Promise<ControlSession> {
  const client = new Client({ ...options.config, query_timeout: answerTimeoutMs });
  const lost = new AbortController();
  client.on("error", () => lost.abort());
  client.on("end", () => lost.abort());
  client.on("notification", ({ channel: heardOn, processId, payload = "" }) => {
    // Its own come back on the connection that they went out on.
    if (heardOn === channel && processId !== processIdOf(client)) options.onHint(payload);
  });
  try {
    await client.connect();
    await beginSession(client);
    await checkDatabase(client);
    // A hint that is lost in a crash of the database is one of those that nobody relies on.
    await client.query("SET synchronous_commit = off");
    await client.query(`LISTEN ${channel}`);
    return new ControlSession(client, await takeSlot(client, options.previousSlot), lost);
  } catch (error) {
    await end(client);
    throw error;
  }
}

/** A control connection while it is up. Nothing it does throws: what fails loses it. */
export class ControlSession {
  /** The server's number while this connection is up. */
  readonly slot: number;
  readonly #client: Client;
  readonly #lost: AbortController;
  /** Settles when the connection has nothing to do: it takes one statement at a time. */
  #turn: Promise<void> = Promise.resolve();
  #beating: Promise<void> | undefined;

  constructor(client: Client, slot: number, lost: AbortController) {
    this.#client = client;
    this.#lost = lost;
    this.slot = slot;
  }

  /** Aborted when the connection is lost. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  lose(): void {
    this.#lost.abort();
  }

  /** Makes sure that the database answers, and still is one that takes changes: a primary may have become a standby. */
  beat(): Promise<void> {
    this.#beating ??= this.#run(async () => {
      const { rows } = await this.#client.query<{ is_standby: boolean }>({
        name: "heartbeat",
        text: "SELECT pg_is_in_recovery() AS is_standby",
      });
      if (rows[0]?.is_standby !== false) this.lose();
    }).finally(() => {
      this.#beating = undefined;
    });
    return this.#beating;
  }

  /** Tells the other servers something. */
  hint(payload: string): Promise<void> {
    return this.#run(async () => {
      await this.#client.query({ name: "hint", text: "SELECT pg_notify($1, $2)", values: [channel, payload] });
    });
  }

  async end(): Promise<void> {
    await end(this.#client);
  }

  #run(use: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(use).catch(() => this.lose());
    return this.#turn;
  }
}

/** Ends a connection, and does not wait for a peer that is gone. */
async function end(client: Client): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, endTimeoutMs);
  });
  await Promise.race([client.end().catch(() => undefined), timeout]);
  clearTimeout(timer);
}

/** The number of the process that serves a connection, which the driver knows but does not declare. */
function processIdOf(client: Client): unknown {
  return "processID" in client ? client.processID : undefined;
}
