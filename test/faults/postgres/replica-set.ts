import { DatabaseProxy } from "../../support/database-proxy.js";
import type { FaultServers } from "../harness/fault-servers.js";
import { KillableServer, type ServerEntry } from "../harness/killable-server.js";

/** A server, and the proxy through which alone it reaches the database. */
export interface Replica {
  readonly server: KillableServer;
  readonly proxy: DatabaseProxy;
}

/** Several servers on one database. */
export class ReplicaSet implements FaultServers, AsyncDisposable {
  readonly replicas: readonly Replica[];
  readonly urls: readonly string[];

  private constructor(replicas: readonly Replica[]) {
    this.replicas = replicas;
    this.urls = replicas.map(({ server }) => server.url);
  }

  /** Starts so many servers on the database and waits until they listen. */
  static async start(
    databaseUrl: string,
    { count, entry, flags }: { readonly count: number; readonly entry: ServerEntry; readonly flags: readonly string[] },
  ): Promise<ReplicaSet> {
    const replicas: Replica[] = [];
    for (let index = 0; index < count; index++) {
      const proxy = await DatabaseProxy.start(databaseUrl);
      const server = await KillableServer.start(entry, ["--store", proxy.url, ...flags]);
      replicas.push({ server, proxy });
    }
    return new ReplicaSet(replicas);
  }

  async whenUp(): Promise<void> {
    const failed = this.replicas.find(({ server }) => server.failure !== undefined);
    if (failed !== undefined) throw new Error(failed.server.failure);
    await Promise.any(this.replicas.map(({ server }) => server.whenUp()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { server, proxy } of this.replicas) {
      await server[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    }
  }
}
