/** One server process and one client of the SDK for all tests of a `describe`. */
import { afterAll, beforeAll } from "@jest/globals";
import { type CoordinationClient, createCoordinationClient } from "../../client-sdk/src/index.js";
import { type SpawnedServer, spawnServer } from "./spawned-server.js";

/** Starts them before the first test of the `describe` that it is called in, and hands them over; both end after the last. */
export function sdkForAll(onStarted: (client: CoordinationClient, server: SpawnedServer) => void): void {
  let server: SpawnedServer | undefined;
  let client: CoordinationClient | undefined;
  beforeAll(async () => {
    server = await spawnServer();
    client = createCoordinationClient({ baseUrl: server.url });
    onStarted(client, server);
  });
  afterAll(async () => {
    await client?.close();
    await server?.stop();
  });
}
