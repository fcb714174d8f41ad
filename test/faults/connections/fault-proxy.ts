import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type Ending, endings, type Fate } from "./fate.js";
import { FatedLink } from "./fated-link.js";

/** A TCP proxy in front of a server that gives every connection a fate, until it is healed. `await using` stops it. */
export class FaultProxy implements AsyncDisposable {
  /** The URL of the server, through the proxy. */
  readonly url: string;
  readonly #server: Server;
  readonly #port: number;
  readonly #nextFate: () => Fate;
  readonly #links = new Set<FatedLink>();
  readonly #fulfilled = new Map<Ending, number>(endings.map((ending) => [ending, 0]));
  #isHealed = false;

  private constructor(server: Server, targetUrl: string, nextFate: () => Fate) {
    this.#server = server;
    this.#port = Number(new URL(targetUrl).port);
    this.#nextFate = nextFate;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("connection", (client) => this.#accept(client));
  }

  /** Starts a proxy in front of the server at a URL of this machine. */
  static async start(targetUrl: string, nextFate: () => Fate): Promise<FaultProxy> {
    const server = createServer({ noDelay: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new FaultProxy(server, targetUrl, nextFate);
  }

  /** How many connections went bad, by how they did. */
  get fulfilled(): ReadonlyMap<Ending, number> {
    return this.#fulfilled;
  }

  /** From now on connections last; those that are broken are reset. */
  heal(): void {
    this.#isHealed = true;
    for (const link of this.#links) link.pardon();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const link of this.#links) link.reset();
    await closed;
  }

  #accept(client: Socket): void {
    const server = connect({ host: "127.0.0.1", port: this.#port, noDelay: true });
    const link = new FatedLink({ client, server }, this.#nextFate(), ({ ending }) => {
      this.#fulfilled.set(ending, (this.#fulfilled.get(ending) ?? 0) + 1);
    });
    this.#links.add(link);
    void link.closed.then(() => this.#links.delete(link));
    if (this.#isHealed) link.pardon();
  }
}
