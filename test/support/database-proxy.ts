/** A TCP proxy in front of a database that loses connections, answers and packets as networks do. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** What becomes of a request that matches, and of the connection it came on. */
export type LostPart = "request" | "answer";

/** One connection through the proxy. */
export interface ProxiedConnection {
  /** What its client has said first, at most 4,096 bytes of it. */
  greeting(): string;
}

const maxGreetingBytes = 4_096;

/** A proxy that lets everything through until told otherwise. `await using` stops it. */
export class DatabaseProxy implements AsyncDisposable {
  /** The URL of the database, through the proxy. */
  readonly url: string;
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #links = new Set<Link>();
  #isRefusing = false;
  #isSilent: ((connection: ProxiedConnection) => boolean) | undefined;
  #loss: { readonly text: string; readonly nextPart: () => LostPart | undefined } | undefined;

  private constructor(server: Server, databaseUrl: string) {
    const url = new URL(databaseUrl);
    this.#target = { host: url.hostname, port: Number(url.port) };
    url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.url = url.href;
    this.#server = server;
    server.on("connection", (client) => this.#accept(client));
  }

  /** Starts a proxy in front of the database at a URL. */
  static async start(databaseUrl: string): Promise<DatabaseProxy> {
    const server = createServer({ noDelay: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new DatabaseProxy(server, databaseUrl);
  }

  /** Resets every connection, and from now on every new one, until `heal`. */
  cut(): void {
    this.#isRefusing = true;
    for (const link of this.#links) link.reset();
  }

  /** From now on nothing passes on the connections that are chosen, nor on new ones, and none of them ends; until `heal`. */
  silence(isChosen: (connection: ProxiedConnection) => boolean = () => true): void {
    this.#isSilent = isChosen;
    for (const link of this.#links) if (isChosen(link)) link.hold();
  }

  /**
   * From now on, on requests that hold a text, asks what to lose: the request, which the database never gets, or its answer,
   * after the database has done what was asked. Either way the connection is reset. Until `heal`.
   */
  lose(text: string, nextPart: () => LostPart | undefined): void {
    this.#loss = { text, nextPart };
  }

  /** Lets everything through again; what was held up arrives now. */
  heal(): void {
    this.#isRefusing = false;
    this.#isSilent = undefined;
    this.#loss = undefined;
    for (const link of this.#links) link.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const link of this.#links) link.reset();
    await closed;
  }

  #accept(client: Socket): void {
    if (this.#isRefusing) {
      client.resetAndDestroy();
      return;
    }
    const link = new Link(client, connect({ ...this.#target, noDelay: true }), {
      lostPartOf: (request) => (this.#loss && request.includes(this.#loss.text) ? this.#loss.nextPart() : undefined),
      onEnd: () => this.#links.delete(link),
    });
    this.#links.add(link);
    if (this.#isSilent?.(link) === true) link.hold();
  }
}

interface LinkOptions {
  /** What to lose of a request, if anything. */
  readonly lostPartOf: (request: Buffer) => LostPart | undefined;
  readonly onEnd: () => void;
}

/** A client's connection and the one to the database that belongs to it. */
class Link implements ProxiedConnection {
  readonly #client: Socket;
  readonly #database: Socket;
  readonly #options: LinkOptions;
  #greeting = "";
  #losesAnswer = false;

  constructor(client: Socket, database: Socket, options: LinkOptions) {
    this.#client = client;
    this.#database = database;
    this.#options = options;
    client.on("data", (bytes) => this.#request(bytes));
    database.on("data", (bytes) => this.#answer(bytes));
    for (const socket of [client, database]) {
      socket.on("error", () => this.reset());
      socket.once("close", () => this.#end());
    }
    client.once("end", () => database.end());
    database.once("end", () => client.end());
  }

  greeting(): string {
    return this.#greeting;
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.#database.resetAndDestroy();
  }

  hold(): void {
    this.#client.pause();
    this.#database.pause();
  }

  release(): void {
    this.#client.resume();
    this.#database.resume();
  }

  #request(bytes: Buffer): void {
    const left = maxGreetingBytes - this.#greeting.length;
    if (left > 0) this.#greeting += bytes.subarray(0, left).toString("latin1");
    const lost = this.#options.lostPartOf(bytes);
    if (lost === "request") this.reset();
    else this.#database.write(bytes);
    if (lost === "answer") this.#losesAnswer = true;
  }

  #answer(bytes: Buffer): void {
    if (this.#losesAnswer) this.reset();
    else this.#client.write(bytes);
  }

  #end(): void {
    this.#options.onEnd();
    this.#client.destroy();
    this.#database.destroy();
  }
}
