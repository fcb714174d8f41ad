import { once } from "node:events";
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import { createContextValues } from "@connectrpc/connect";
import { SubscribeRequestSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { createNodeTransport } from "../../../../client-sdk/src/transport/node-transport.js";

describe("createNodeTransport", () => {
  test("lets the server send more ahead, on a stream and on the connection, than HTTP/2's default", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const client = createNodeTransport({ baseUrl: `http://127.0.0.1:${port}`, protocol: "grpc" });
    const opened = once(server, "stream") as Promise<[ServerHttp2Stream]>;
    const items = client.signalStreams?.subscribe(create(SubscribeRequestSchema), {
      contextValues: createContextValues(),
    });
    items?.arrived().catch(() => undefined);
    const [stream] = await opened;
    // The client leaves without an answer.
    stream.on("error", () => undefined);
    const { remoteSettings, state } = stream.session as ServerHttp2Session;
    client.close();
    await new Promise((resolve) => server.close(resolve));
    expect(remoteSettings.initialWindowSize).toBe(128 * 1024);
    expect(state.remoteWindowSize).toBe(16 * 1024 * 1024);
  });
});
