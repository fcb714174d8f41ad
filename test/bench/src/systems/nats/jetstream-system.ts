import type { BenchSystem } from "../bench-system.js";
import { JetStreamClient } from "./jetstream-client.js";
import { natsUnavailable, natsVersion, startNatsServer } from "./nats-server.js";

/** NATS JetStream with file storage. */
export const jetStream: BenchSystem = {
  label: "NATS JetStream",
  acknowledges: "before the disk has it (file storage, fsync every 2 minutes)",
  group: "broker",
  order: "published",
  keepsLog: true,
  runsOnNode: false,
  unavailable: natsUnavailable,
  version: natsVersion,
  startServer: () => startNatsServer({ jetstream: true }),
  connect: (url) => new JetStreamClient(url),
};
