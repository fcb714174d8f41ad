import type { BenchSystem } from "../bench-system.js";
import { NatsCoreClient } from "./nats-core-client.js";
import { natsUnavailable, natsVersion, startNatsServer } from "./nats-server.js";

/** NATS without JetStream: who is not there misses it. */
export const natsCore: BenchSystem = {
  label: "NATS core",
  acknowledges: "when the server has read it; nothing is stored",
  group: "broker",
  order: "published",
  keepsLog: false,
  runsOnNode: false,
  unavailable: natsUnavailable,
  version: natsVersion,
  startServer: () => startNatsServer({ jetstream: false }),
  connect: (url) => new NatsCoreClient(url),
};
