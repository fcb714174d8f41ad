import { grpc, type TestClient } from "../../support/test-client.js";

/** A plain client that uses one of several servers until that does not serve it, and then the next. */
export class RoamingClient {
  readonly #clients: readonly [TestClient, ...TestClient[]];
  #turn: number;

  /** `first` chooses the server to begin with. */
  constructor(urls: readonly string[], first: number) {
    const [client, ...others] = urls.map((url) => grpc.connect(url));
    if (client === undefined) throw new Error("a client needs at least one server");
    this.#clients = [client, ...others];
    this.#turn = first;
  }

  get signals(): TestClient["signals"] {
    return this.#present.signals;
  }

  /** Goes on with the next server, on a new connection: what became of the present one nobody can know. */
  leave(): void {
    this.#present.disconnect();
    this.#turn += 1;
  }

  disconnect(): void {
    for (const client of this.#clients) client.disconnect();
  }

  get #present(): TestClient {
    const [first] = this.#clients;
    return this.#clients[this.#turn % this.#clients.length] ?? first;
  }
}
