import { grpc, type TestClient } from "../../support/test-client.js";
import type { KillableServer } from "../harness/killable-server.js";
import { nextMoment } from "../harness/next-moment.js";
import { isUnknownOutcome } from "./unknown-outcome.js";

/** How long a fault program waits for what must come at some time, before it takes it for lost. */
export const settleTimeoutMs = 180_000;

/** Calls a server that is killed now and then until it answers: what is called must be safe to repeat. */
export async function settledCall<T>(server: KillableServer, call: (client: TestClient) => Promise<T>): Promise<T> {
  const deadlineMs = performance.now() + settleTimeoutMs;
  for (;;) {
    await server.whenUp();
    using client = grpc.connect(server.url);
    try {
      return await call(client);
    } catch (error) {
      if (!isUnknownOutcome(error) || performance.now() > deadlineMs) throw error;
      await nextMoment();
    }
  }
}
