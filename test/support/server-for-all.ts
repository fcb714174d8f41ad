/** One server and one client of it for all tests of a `describe`. */
import { afterAll, beforeAll } from "@jest/globals";
import { grpc, type TestClient } from "./test-client.js";
import { startTestServer, type TestServer } from "./test-server.js";

/** Starts them before the first test of the `describe` that it is called in, and hands them over; both end after the last. */
export function serverForAll(
  onStarted: (client: TestClient, server: TestServer) => void,
  connect: (url: string) => TestClient = grpc.connect,
): void {
  let server: TestServer | undefined;
  let client: TestClient | undefined;
  beforeAll(async () => {
    server = await startTestServer();
    client = connect(server.url);
    onStarted(client, server);
  });
  afterAll(async () => {
    client?.disconnect();
    await server?.[Symbol.asyncDispose]();
  });
}
