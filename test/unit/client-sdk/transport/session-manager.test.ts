import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import { SessionManager } from "../../../../client-sdk/src/transport/session-manager.js";

const keepalive = { pingIntervalMs: 60_000, pingTimeoutMs: 60_000 };

describe("SessionManager", () => {
  test("survives a connection that is lost before its first call, while the next one is asked for", async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const manager = new SessionManager(`http://127.0.0.1:${port}`, keepalive, {});
    const uncaught: unknown[] = [];
    const note = (error: unknown) => uncaught.push(error);
    process.on("uncaughtException", note);
    try {
      for (let round = 1; round <= 20; round += 1) {
        expect(await manager.connect()).toBe("idle");
        while (sockets.length < round) await setImmediate();
        sockets.at(-1)?.end("no frame of HTTP/2 ".repeat(20));
        // Asked in every turn of the event loop, so also in the one between the loss and the error that tells of it.
        while (sockets.length < round + 1) {
          void manager.connect();
          await setImmediate();
        }
      }
    } finally {
      process.off("uncaughtException", note);
      manager.abort();
      for (const socket of sockets) socket.destroy();
      server.close();
    }
    expect(uncaught).toEqual([]);
  });
});
