import type { Server } from "node:net";
import { relayListening } from "../relay.js";

/** Listens on a free loopback port, prints where, and ends the process on SIGTERM. */
export function listenAndTell(server: Pick<Server, "listen" | "address">): void {
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the server has no port");
    tell(address.port);
  });
}

/** Prints where the server listens, and ends the process on SIGTERM. */
export function tell(port: number): void {
  process.stdout.write(`${relayListening}http://127.0.0.1:${port}\n`);
  process.once("SIGTERM", () => process.exit(0));
}
