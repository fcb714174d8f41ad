import { findProgram, programVersion } from "../../servers/find-program.js";
import { findFreePort } from "../../servers/free-port.js";
import {
  createDataDirectory,
  isListening,
  type ServerProcess,
  startServerProcess,
} from "../../servers/server-process.js";

const program = "nats-server";

/** Why NATS cannot be measured here; undefined when it can. */
export function natsUnavailable(): string | undefined {
  return findProgram(program) === undefined ? `${program} is not installed` : undefined;
}

/** The installed server's version. */
export function natsVersion(): Promise<string> {
  return programVersion(installedProgram());
}

/** Starts a NATS server, with JetStream when it is asked for. */
export async function startNatsServer({ jetstream }: { readonly jetstream: boolean }): Promise<ServerProcess> {
  const [port, directory] = await Promise.all([findFreePort(), createDataDirectory()]);
  return startServerProcess({
    command: installedProgram(),
    args: ["-a", "127.0.0.1", "-p", `${port}`, ...(jetstream ? ["-js", "-sd", directory] : [])],
    directory,
    removesDirectory: true,
    url: async () => ((await isListening(port)) ? `nats://127.0.0.1:${port}` : undefined),
  });
}

function installedProgram(): string {
  return findProgram(program) ?? program;
}
