import type { BenchSystem } from "./bench-system.js";
import { coordinationSystem } from "./coordination/coordination-system.js";
import { lmdbStore, memoryStore, postgresStore } from "./coordination/stores.js";
import { etcd } from "./etcd/etcd-system.js";
import { connectStream, connectUnary, grpcJs, http2Stream, http2Unary } from "./limits/limit-system.js";
import { jetStream } from "./nats/jetstream-system.js";
import { natsCore } from "./nats/nats-core-system.js";
import { redisStreams } from "./redis/redis-system.js";

/** Everything the bench can measure, by the name that `--systems` takes, in the order of the tables. */
export const systemTable = {
  coordination: coordinationSystem(lmdbStore),
  "coordination-memory": coordinationSystem(memoryStore),
  "coordination-postgres": coordinationSystem(postgresStore),
  jetstream: jetStream,
  redis: redisStreams,
  etcd,
  nats: natsCore,
  http2: http2Stream,
  "http2-unary": http2Unary,
  "grpc-js": grpcJs,
  connect: connectStream,
  "connect-unary": connectUnary,
} as const satisfies Readonly<Record<string, BenchSystem>>;

export type SystemName = keyof typeof systemTable;
