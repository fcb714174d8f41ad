import { findProgram, programVersion } from "../../servers/find-program.js";
import { findFreePort } from "../../servers/free-port.js";
import { createDataDirectory, isListening, startServerProcess } from "../../servers/server-process.js";
import type { BenchSystem } from "../bench-system.js";
import { RedisStreamsClient } from "./redis-streams-client.js";

const program = "redis-server";

/** Redis Streams with the append-only file that its documentation recommends. */
export const redisStreams: BenchSystem = {
  label: "Redis Streams",
  acknowledges: "before the disk has it (appendfsync everysec)",
  group: "broker",
  order: "published",
  keepsLog: true,
  runsOnNode: false,
  unavailable: () => (findProgram(program) === undefined ? `${program} is not installed` : undefined),
  version: () => programVersion(installedProgram()),
  async startServer() {
    const [port, directory] = await Promise.all([findFreePort(), createDataDirectory()]);
    const network = ["--bind", "127.0.0.1", "--port", `${port}`];
    const durability = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""];
    return startServerProcess({
      command: installedProgram(),
      args: [...network, "--dir", directory, ...durability],
      directory,
      removesDirectory: true,
      url: async () => ((await isListening(port)) ? `redis://127.0.0.1:${port}` : undefined),
    });
  },
  connect: (url) => new RedisStreamsClient(url),
};

function installedProgram(): string {
  return findProgram(program) ?? program;
}
