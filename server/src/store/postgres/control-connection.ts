import { setTimeout } from "node:timers/promises";
import type { ConnectionSettings } from "./connection-settings.js";
import { type ControlSession, openControlSession } from "./control-session.js";

/*
 * One connection that lives as long as the server: it holds the server's slot, hears the other servers' hints and gives its
 * own, and by its heartbeat tells whether the database answers. When it is lost the database counts as away until another one
 * has taken its place.
 *
 * Hints are notifications, each in a transaction of its own that waits for no disk, after the commit that it tells of: in the
 * commit's own they would make all commits of the database follow one another. They can be lost; whoever waits looks for himself.
 */

/** PostgreSQL takes less than 8,000 bytes; a hint without names says "look at all". */
const maxHintBytes = 7_900;
const heartbeatIntervalMs = 1_000;
const leastReconnectDelayMs = 100;
const greatestReconnectDelayMs = 1_000;

/** What the connection works with. */
export interface ControlConnectionOptions {
  readonly settings: ConnectionSettings;
  /** Told that the database does not answer any more, or does again. */
  readonly onAvailability: (isAvailable: boolean) => void;
  /** Told what other servers have changed; undefined when it may be anything. */
  readonly onHint: (coordinationIds: readonly string[] | undefined) => void;
}

/** The connection that a server keeps to its database for itself. */
export class ControlConnection {
  readonly #options: ControlConnectionOptions;
  readonly #closed = new AbortController();
  #session: ControlSession | undefined;
  #slot = 0;
  #keeping: Promise<void> = Promise.resolve();
  #hints = new Set<string>();
  #isHinting = false;

  constructor(options: ControlConnectionOptions) {
    this.#options = options;
  }

  /** The server's number among those that share the database; the last one while there is no connection. */
  get slot(): number {
    return this.#slot;
  }

  get isAvailable(): boolean {
    return this.#session !== undefined;
  }

  /** Connects for the first time. Throws what keeps it from connecting. */
  async open(): Promise<void> {
    this.#session = await this.#connect();
    this.#keeping = this.#keep(this.#session);
  }

  /** Tells the other servers that coordinations have changed: soon, and many at a time. */
  hint(coordinationIds: readonly string[]): void {
    for (const id of coordinationIds) this.#hints.add(id);
    if (!this.#isHinting) void this.#sendHints();
  }

  /** Makes sure of the connection now: something else has failed. */
  check(): void {
    void this.#session?.beat();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#session?.lose();
    await this.#keeping;
  }

  async #keep(first: ControlSession): Promise<void> {
    let session: ControlSession | undefined = first;
    while (session !== undefined) {
      await watchOver(session);
      this.#session = undefined;
      await session.end();
      if (this.#closed.signal.aborted) return;
      this.#options.onAvailability(false);
      session = await this.#reconnect();
      if (session === undefined) return;
      this.#session = session;
      this.#options.onAvailability(true);
      this.#options.onHint(undefined);
    }
  }

  /** Tries until there is a connection; undefined when it was closed first. */
  async #reconnect(): Promise<ControlSession | undefined> {
    let delayMs = leastReconnectDelayMs;
    for (;;) {
      // Half of it at random, so that servers that lost one database do not return to it as one.
      await pause(delayMs * (0.5 + 0.5 * Math.random()), this.#closed.signal);
      if (this.#closed.signal.aborted) return undefined;
      try {
        return await this.#connect();
      } catch {
        delayMs = Math.min(2 * delayMs, greatestReconnectDelayMs);
      }
    }
  }

  async #connect(): Promise<ControlSession> {
    const session = await openControlSession({
      config: this.#options.settings.config,
      previousSlot: this.#slot,
      onHint: (payload) => this.#options.onHint(payload === "" ? undefined : payload.split(" ")),
    });
    this.#slot = session.slot;
    return session;
  }

  async #sendHints(): Promise<void> {
    this.#isHinting = true;
    while (this.#hints.size > 0 && this.#session !== undefined) {
      const payload = [...this.#hints].join(" ");
      this.#hints = new Set();
      await this.#session.hint(payload.length > maxHintBytes ? "" : payload);
    }
    this.#hints = new Set();
    this.#isHinting = false;
  }
}

/** Resolves when the connection is lost. */
async function watchOver(session: ControlSession): Promise<void> {
  while (!session.lost.aborted) {
    await pause(heartbeatIntervalMs, session.lost);
    if (!session.lost.aborted) await session.beat();
  }
}

async function pause(ms: number, abort: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal: abort }).catch(() => undefined);
}
