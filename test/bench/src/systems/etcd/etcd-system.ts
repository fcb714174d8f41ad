import { findProgram, programVersion } from "../../servers/find-program.js";
import { findFreePort } from "../../servers/free-port.js";
import { createDataDirectory, isListening, startServerProcess } from "../../servers/server-process.js";
import type { BenchSystem } from "../bench-system.js";
import { EtcdClient } from "./etcd-client.js";

const program = "etcd";
/** Room for all messages of a run; the default of 2 GiB is what etcd recommends at the least. */
const quotaBytes = 8 * 1024 ** 3;

/** One etcd server: keys with a prefix as the log, watches as readers. */
export const etcd: BenchSystem = {
  label: "etcd",
  acknowledges: "after fsync",
  group: "broker",
  // Puts in flight together are calls of their own and may overtake each other.
  order: "any",
  keepsLog: true,
  runsOnNode: false,
  unavailable: () => (findProgram(program) === undefined ? `${program} is not installed` : undefined),
  version: () => programVersion(installedProgram()),
  async startServer() {
    const [port, peerPort, directory] = await Promise.all([findFreePort(), findFreePort(), createDataDirectory()]);
    const url = `http://127.0.0.1:${port}`;
    const peerUrl = `http://127.0.0.1:${peerPort}`;
    const clients = ["--listen-client-urls", url, "--advertise-client-urls", url];
    const peers = ["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl];
    const cluster = ["--name", "bench", "--initial-cluster", `bench=${peerUrl}`];
    const storage = ["--data-dir", directory, "--quota-backend-bytes", `${quotaBytes}`];
    return startServerProcess({
      command: installedProgram(),
      args: [...clients, ...peers, ...cluster, ...storage],
      directory,
      removesDirectory: true,
      url: async () => ((await isListening(port)) ? url : undefined),
    });
  },
  connect: (url) => new EtcdClient(url),
};

function installedProgram(): string {
  return findProgram(program) ?? program;
}
