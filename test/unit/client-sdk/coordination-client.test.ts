import { Code, createRouterTransport } from "@connectrpc/connect";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import * as browser from "../../../client-sdk/src/browser.js";
import {
  CancelledError,
  CoordinationObserver,
  CoordinationSession,
  createCoordinationClient,
  InternalError,
  InvalidRequestError,
  NotFoundError,
  type Protocol,
  TimeoutError,
} from "../../../client-sdk/src/index.js";
import { contractError } from "./support/contract-errors.js";
import { createLatch } from "./support/latch.js";
import { connectScripted, fastRetry } from "./support/scripted-client.js";
import { batch, storeAll, subscribed } from "./support/scripted-log.js";
import { clientLeft, neverAnswer, type Script, startScriptedServer } from "./support/scripted-server.js";

/** Enough of a server to send, to subscribe and to be refused. */
function smallServer(left: () => void): Script {
  return {
    signals: {
      batchSendSignals: (request) => storeAll(request),
      async *subscribe(_, context) {
        yield subscribed(1);
        yield batch(0, 1, [1]);
        await clientLeft(context);
        left();
      },
      getSignalMetrics: () => {
        throw contractError({ code: Code.NotFound, reason: "COORDINATION_NOT_FOUND", metadata: { key: "value" } });
      },
    },
  };
}

async function useEverything(client: ReturnType<typeof createCoordinationClient>): Promise<void> {
  const session = client.coordination("c", { agentId: "agent" });
  expect((await session.initialized()).sequence).toBe(1n);
  for await (const { sequence } of session.subscribe()) {
    expect(sequence).toBe(1n);
    break;
  }
  const error = await session.metrics().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(NotFoundError);
  expect(error).toMatchObject({ reason: "COORDINATION_NOT_FOUND", code: "NOT_FOUND", metadata: { key: "value" } });
}

describe("createCoordinationClient", () => {
  test.each<Protocol>(["grpc", "grpc-web", "connect"])("speaks %s from Node.js", async (protocol) => {
    const left = createLatch();
    await using server = await startScriptedServer(smallServer(left.open));
    const client = createCoordinationClient({ baseUrl: server.url, protocol });
    await useEverything(client);
    await left.promise;
    await client.close();
    await server.idle();
  });

  test.each<Exclude<Protocol, "grpc">>(["grpc-web", "connect"])("speaks %s from browsers", async (protocol) => {
    const left = createLatch();
    await using server = await startScriptedServer(smallServer(left.open), { http1: true });
    const client = browser.createCoordinationClient({ baseUrl: server.url, protocol });
    await useEverything(client);
    await left.promise;
    await client.close();
  });

  test("takes gRPC from Node.js and Connect from browsers when nothing is said", async () => {
    const contentTypes: (string | null)[] = [];
    const script: Script = {
      signals: {
        getSignalMetrics: (_, { requestHeader }) => {
          contentTypes.push(requestHeader.get("content-type"));
          return {};
        },
      },
    };
    await using http2Server = await startScriptedServer(script);
    await using fromNode = createCoordinationClient({ baseUrl: http2Server.url });
    await fromNode.coordination("c").metrics();
    await using http1Server = await startScriptedServer(script, { http1: true });
    await using fromBrowser = browser.createCoordinationClient({ baseUrl: http1Server.url });
    await fromBrowser.coordination("c").metrics();
    expect(contentTypes).toEqual(["application/grpc+proto", "application/proto"]);
  });

  test.each([createCoordinationClient, browser.createCoordinationClient])(
    "takes a transport of the application's own",
    async (create) => {
      const transport = createRouterTransport(({ service }) => {
        service(SignalService, { getSignalMetrics: () => ({ totalSignalsSent: 5n }) });
      });
      await using client = create({ transport });
      expect(await client.coordination("c").metrics()).toMatchObject({ totalSignalsSent: 5n });
    },
  );

  test("runs interceptors around calls", async () => {
    await using server = await startScriptedServer({
      signals: { getSignalMetrics: (_, { requestHeader }) => ({ epoch: requestHeader.get("x-name") ?? "" }) },
    });
    await using client = createCoordinationClient({
      baseUrl: server.url,
      interceptors: [
        (next) => (request) => {
          request.header.set("x-name", "value");
          return next(request);
        },
      ],
    });
    expect(await client.coordination("c").metrics()).toMatchObject({ epoch: "value" });
  });
});

describe("CoordinationClient.coordination", () => {
  test("observes without an agent and takes part with one", async () => {
    await using scripted = await connectScripted({});
    const observer = scripted.client.coordination("c");
    expect(observer).toBeInstanceOf(CoordinationObserver);
    expect(observer).not.toBeInstanceOf(CoordinationSession);
    expect(scripted.session).toMatchObject({ coordinationId: "c", agentId: "agent" });
  });

  test("refuses empty names", async () => {
    await using scripted = await connectScripted({});
    expect(() => scripted.client.coordination("")).toThrow(InvalidRequestError);
    expect(() => scripted.client.coordination("c", { agentId: "" })).toThrow(InvalidRequestError);
  });
});

describe("CoordinationClient's calls", () => {
  test("look after coordinations", async () => {
    const coordination = { coordinationId: "c", epoch: "e" };
    await using scripted = await connectScripted({
      coordinations: {
        listCoordinations: ({ pageToken, pageSize }) =>
          pageToken === ""
            ? { coordinations: [coordination], nextPageToken: `after ${pageSize}` }
            : { coordinations: [{ coordinationId: pageToken }] },
        getCoordination: ({ coordinationId }) => ({ coordination: { coordinationId }, agentCount: 3n }),
        closeCoordination: ({ reason }) => ({ coordination: { ...coordination, closeReason: reason } }),
        deleteCoordination: () => ({}),
      },
    });
    const { client, session } = scripted;
    expect(await client.listCoordinations({ pageSize: 1 })).toMatchObject({
      coordinations: [coordination],
      nextPageToken: "after 1",
    });
    const names: string[] = [];
    for await (const { coordinationId } of client.coordinations({ pageSize: 2 })) names.push(coordinationId);
    expect(names).toEqual(["c", "after 2"]);
    expect(await session.overview()).toMatchObject({ coordination: { coordinationId: "c" }, agentCount: 3n });
    expect(await session.closeCoordination("done")).toMatchObject({ closeReason: "done" });
    expect((await session.closeCoordination()).closeReason).toBe("");
    await session.deleteCoordination();
  });

  test("fail when the answer lacks what it is about", async () => {
    await using scripted = await connectScripted({ coordinations: { closeCoordination: () => ({}) } });
    await expect(scripted.session.closeCoordination()).rejects.toThrow(InternalError);
  });

  test("time out", async () => {
    await using scripted = await connectScripted(
      { signals: { getSignalMetrics: (_, context) => neverAnswer(context) } },
      { callTimeoutMs: 20 },
    );
    const error = await scripted.session.metrics().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({ reason: "CALL_TIMEOUT", code: "DEADLINE_EXCEEDED", retryable: false });
    await expect(scripted.session.metrics({ timeoutMs: 10 })).rejects.toThrow(TimeoutError);
  });

  test("are cancelled by their AbortSignal, under way or waiting to be repeated", async () => {
    const underWay = createLatch();
    const controller = new AbortController();
    await using scripted = await connectScripted({
      signals: {
        getSignalMetrics: (_, context) => {
          underWay.open();
          return neverAnswer(context);
        },
      },
    });
    const call = scripted.session.metrics({ signal: controller.signal });
    await underWay.promise;
    controller.abort(new Error("enough"));
    await expect(call).rejects.toThrow(CancelledError);
    await expect(call).rejects.toMatchObject({ reason: "CANCELLED", cause: new Error("enough") });
    await expect(scripted.session.metrics({ signal: AbortSignal.abort() })).rejects.toThrow(CancelledError);
  });

  test("are repeated only where the contract allows it", async () => {
    const calls: string[] = [];
    const errors = {
      unavailable: contractError({ code: Code.Unavailable, reason: "STORE_UNAVAILABLE" }),
      "exhausted with a time": contractError({ code: Code.ResourceExhausted, reason: "RATE_LIMITED", retryDelayMs: 1 }),
      exhausted: contractError({ code: Code.ResourceExhausted, reason: "RATE_LIMITED" }),
      internal: contractError({ code: Code.Internal, reason: "INTERNAL" }),
      aborted: contractError({ code: Code.Aborted, reason: "SEQUENCE_CONFLICT" }),
      late: contractError({ code: Code.DeadlineExceeded, reason: "WAIT_TIMEOUT" }),
    };
    await using scripted = await connectScripted(
      {
        signals: {
          getSignalMetrics: ({ coordinationId }) => {
            calls.push(coordinationId);
            throw errors[coordinationId as keyof typeof errors];
          },
        },
      },
      { retry: { ...fastRetry, maxAttempts: 3 } },
    );
    for (const name of Object.keys(errors)) {
      await expect(scripted.client.coordination(name).metrics()).rejects.toThrow();
    }
    const counts = Object.keys(errors).map((name) => calls.filter((called) => called === name).length);
    expect(counts).toEqual([3, 3, 1, 1, 1, 1]);
  });
});

describe("CoordinationClient.close", () => {
  test("fails what is under way and what comes later", async () => {
    const underWay = createLatch();
    await using scripted = await connectScripted({
      signals: {
        getSignalMetrics: (_, context) => {
          underWay.open();
          return neverAnswer(context);
        },
      },
    });
    const call = scripted.session.metrics();
    await underWay.promise;
    const failed = expect(call).rejects.toMatchObject({ name: "CancelledError", reason: "CLIENT_CLOSED" });
    await scripted.client.close();
    await failed;
    await expect(scripted.session.metrics()).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
    await expect(scripted.session.initialized()).rejects.toMatchObject({ reason: "CLIENT_CLOSED" });
    expect(() => scripted.client.coordination("c")).toThrow(CancelledError);
    await scripted.client.close();
  });

  test("opens no stream for a subscription made later", async () => {
    await using scripted = await connectScripted({});
    await scripted.client.close();
    expect(() => scripted.session.subscribe()).toThrow(CancelledError);
  });
});
