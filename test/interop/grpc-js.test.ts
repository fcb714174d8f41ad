import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Client, type ClientReadableStream, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { load, type MethodDefinition } from "@grpc/proto-loader";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";

const PROTO = fileURLToPath(new URL("../../proto", import.meta.url));

interface Signal {
  readonly sequence: string;
  readonly event: string;
  readonly agent_completed: { readonly result_summary: string };
}

interface SubscribeItem {
  readonly item: string;
  readonly subscribed: { readonly head_sequence: string; readonly epoch: string };
  readonly batch: { readonly signals: readonly Signal[]; readonly cursor: string };
}

describe("grpc-js with stubs made at run time", () => {
  let server: SpawnedServer;
  let client: Client;
  let methods: Readonly<Record<string, MethodDefinition<object, object>>>;

  beforeAll(async () => {
    const files = ["coordination/v1/signal_service.proto"];
    const shapes = { keepCase: true, longs: String, enums: String, oneofs: true, defaults: true };
    const definition = await load(files, { includeDirs: [PROTO, `${PROTO}/vendor`], ...shapes });
    methods = definition["coordination.v1.SignalService"] as unknown as typeof methods;
    server = await spawnServer();
    client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  });

  afterAll(async () => {
    client.close();
    await server.stop();
  });

  const method = (name: string): MethodDefinition<object, object> => {
    const definition = methods[name];
    if (definition === undefined) throw new Error(`no method ${name}`);
    return definition;
  };

  const send = (coordinationId: string, summary: string): Promise<object> => {
    const { path, requestSerialize, responseDeserialize } = method("SendSignal");
    const request = {
      coordination_id: coordinationId,
      sender_agent_id: "model-gen",
      agent_completed: { result_summary: summary },
    };
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, answer) =>
        error === null && answer !== undefined ? resolve(answer) : reject(error),
      );
    });
  };

  const subscribe = (request: object): ClientReadableStream<SubscribeItem> => {
    const { path, requestSerialize, responseDeserialize } = method("Subscribe");
    const deserialize = (bytes: Buffer) => responseDeserialize(bytes) as SubscribeItem;
    return client.makeServerStreamRequest(path, requestSerialize, deserialize, request, new Metadata());
  };

  test("sends a signal", async () => {
    expect(await send("sent", "5 models")).toMatchObject({ sequence: "1", deduplicated: false });
  });

  test("subscribes, gets history and what follows, and cancels", async () => {
    await send("streamed", "before");
    const stream = subscribe({ coordination_id: "streamed", position: "START_POSITION_EARLIEST" });
    const seen: string[] = [];
    const read = async () => {
      for await (const { item, batch } of stream as AsyncIterable<SubscribeItem>) {
        if (item === "batch") seen.push(...batch.signals.map((signal) => signal.agent_completed.result_summary));
        if (item === "caught_up") await send("streamed", "after");
        if (seen.length === 2) stream.cancel();
      }
    };
    await expect(read()).rejects.toMatchObject({ code: status.CANCELLED });
    expect(seen).toEqual(["before", "after"]);
  });

  test("gets the reason of a refusal in the trailers", async () => {
    const stream = subscribe({ coordination_id: "streamed", cursor: "no-cursor" });
    stream.resume();
    const [error]: ServiceError[] = await once(stream, "error");
    expect(error?.code).toBe(status.INVALID_ARGUMENT);
    const [details] = error?.metadata.get("grpc-status-details-bin") ?? [];
    expect(details?.toString()).toContain("INVALID_CURSOR");
  });

  test("counts no subscription after the cancellation", async () => {
    const { path, requestSerialize, responseDeserialize } = method("GetSignalMetrics");
    const stream = subscribe({ coordination_id: "streamed" });
    await once(stream, "data");
    stream.on("error", () => {});
    stream.cancel();
    const active = () =>
      new Promise<unknown>((resolve, reject) => {
        const request = { coordination_id: "streamed" };
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, answer) =>
          error === null ? resolve((answer as { active_subscriptions: string }).active_subscriptions) : reject(error),
        );
      });
    let count = await active();
    for (let attempt = 0; count !== "0" && attempt < 1000; attempt += 1) count = await active();
    expect(count).toBe("0");
  });
});
