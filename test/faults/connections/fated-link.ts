import { once } from "node:events";
import type { Socket } from "node:net";
import { setImmediate, setTimeout } from "node:timers/promises";
import type { Fate } from "./fate.js";

/** The two ends of a connection through a proxy. */
export interface LinkEnds {
  readonly client: Socket;
  readonly server: Socket;
}

// Every frame of HTTP/2 is longer than this: without so many of its last bytes it is not whole.
const tornBytes = 8;
// The server refuses a request of many more pieces than its length explains, as it should.
const maxTrickledBytes = 800;

/** A client's connection and the one to the server that belongs to it: it passes bytes on until its fate is fulfilled. */
export class FatedLink {
  /** Resolves when neither end is open any more. */
  readonly closed: Promise<unknown>;
  readonly #ends: LinkEnds;
  readonly #fate: Fate;
  readonly #onFulfilled: (fate: Fate) => void;
  readonly #broken = new AbortController();
  #passedBytes = 0;
  #trickledBytes = 0;
  #isDoomed = true;
  #isFulfilled = false;

  constructor(ends: LinkEnds, fate: Fate, onFulfilled: (fate: Fate) => void) {
    this.#ends = ends;
    this.#fate = fate;
    this.#onFulfilled = onFulfilled;
    const { client, server } = ends;
    // What an error means is for the one that reads from the socket, and may come when nobody does any more.
    for (const socket of [client, server]) socket.on("error", () => undefined);
    this.closed = Promise.all([closeOf(client), closeOf(server)]);
    void this.#pass(client, server);
    void this.#pass(server, client);
  }

  /** Lets it live; where it is broken already, both ends are told. */
  pardon(): void {
    this.#isDoomed = false;
    if (this.#isFulfilled) this.reset();
  }

  reset(): void {
    this.#broken.abort();
    this.#ends.client.resetAndDestroy();
    this.#ends.server.resetAndDestroy();
  }

  async #pass(from: Socket, to: Socket): Promise<void> {
    try {
      for await (const bytes of from) await this.#forward(bytes, to);
      if (this.#isFulfilled) this.reset();
      else to.end();
    } catch {
      // One end was destroyed. Where that was its fate, the other one must not learn of it.
      if (!this.#isFulfilled) this.reset();
    }
  }

  /** Passes bytes on; after the end, it drops them. */
  async #forward(bytes: Buffer, to: Socket): Promise<void> {
    if (this.#isFulfilled) return;
    const { manner, delayMs, afterBytes } = this.#fate;
    if (!this.#isDoomed) return this.#write(bytes, to);
    if (manner === "late") await setTimeout(delayMs, undefined, { signal: this.#broken.signal });
    const isLast = this.#passedBytes + bytes.length >= afterBytes;
    const passing = isLast ? bytes.subarray(0, Math.max(0, afterBytes - this.#passedBytes)) : bytes;
    this.#passedBytes += bytes.length;
    if (manner === "byte by byte") await this.#trickle(passing, to);
    else await this.#write(passing, to);
    if (isLast && !this.#isFulfilled) this.#fulfil(bytes.subarray(passing.length), to);
  }

  async #trickle(bytes: Buffer, to: Socket): Promise<void> {
    let passed = 0;
    for (; passed < bytes.length && this.#trickledBytes < maxTrickledBytes; passed++) {
      this.#trickledBytes += 1;
      await this.#write(bytes.subarray(passed, passed + 1), to);
      await setImmediate();
    }
    if (passed < bytes.length) await this.#write(bytes.subarray(passed), to);
  }

  async #write(bytes: Buffer, to: Socket): Promise<void> {
    if (this.#isFulfilled || to.write(bytes)) return;
    await once(to, "drain", { signal: this.#broken.signal });
  }

  #fulfil(rest: Buffer, to: Socket): void {
    const { client, server } = this.#ends;
    // Pardoned meanwhile: what was held back must not be missing.
    if (!this.#isDoomed) return void to.write(rest);
    this.#isFulfilled = true;
    this.#onFulfilled(this.#fate);
    switch (this.#fate.ending) {
      case "reset":
        this.reset();
        return;
      case "torn frame":
        to.write(rest.subarray(0, -tornBytes));
        client.end();
        server.end();
        return;
      case "fin":
        client.end();
        server.end();
        return;
      case "server lost":
        server.resetAndDestroy();
        return;
      case "client lost":
        client.resetAndDestroy();
        return;
      case "black hole":
    }
  }
}

async function closeOf(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => void socket.once("close", resolve));
}
