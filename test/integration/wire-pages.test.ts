import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { openTestPort, type TestPort } from "../support/open-test-port.js";

const check = "/grpc.health.v1.Health/Check";
let server: TestPort;
let isReady = true;

beforeAll(async () => {
  server = await openTestPort({ isReady: () => isReady, allowedOrigins: ["https://good.example"] });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function get(path: string, init: RequestInit = {}): Promise<[status: number, type: string | null, body: string]> {
  const answer = await fetch(`${server.port.url}${path}`, init);
  return [answer.status, answer.headers.get("content-type"), await answer.text()];
}

describe("pages for operators", () => {
  test("say that the process is up", async () => {
    expect(await get("/healthz")).toEqual([200, "text/plain; charset=utf-8", "ok\n"]);
  });

  test("say whether it is ready", async () => {
    expect(await get("/readyz")).toEqual([200, "text/plain; charset=utf-8", "ready\n"]);
    isReady = false;
    expect(await get("/readyz")).toEqual([503, "text/plain; charset=utf-8", "not ready\n"]);
    isReady = true;
  });

  test("give the metrics in the form they are rendered in", async () => {
    expect(await get("/metrics")).toEqual([200, "text/plain; version=0.0.4", "metric 1\n"]);
  });

  test("greet with the version, the services and what to try", async () => {
    const [status, , body] = await get("/");
    expect(status).toBe(200);
    expect(body).toMatch(
      /^Coordination signal server 0\.0\.0-test\n.*grpc\.health\.v1\.Health\n.*grpcurl .*\/healthz/s,
    );
  });

  test("are answered to HEAD without a body, and over HTTP/2", async () => {
    expect(await get("/healthz", { method: "HEAD" })).toEqual([200, "text/plain; charset=utf-8", ""]);
    const session = connectHttp2(server.port.url);
    const page = session.request({ ":path": "/healthz" });
    page.setEncoding("utf8");
    expect((await once(page, "data"))[0]).toBe("ok\n");
    session.close();
  });

  test.each(["POST", "PUT", "DELETE", "OPTIONS"])("refuse %s and name what is allowed", async (method) => {
    const answer = await fetch(`${server.port.url}/healthz`, { method });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    expect(await answer.json()).toEqual({
      code: "unimplemented",
      message: `method ${method} is not allowed for /healthz, use GET`,
    });
  });

  test("say that something failed, not what, and log it", async () => {
    const failing = { renderMetrics: () => Promise.reject(new Error("secret")) };
    await using broken = await openTestPort(failing);
    const answer = await fetch(`${broken.port.url}/metrics`);
    expect([answer.status, await answer.json()]).toEqual([500, { code: "internal", message: "internal error" }]);
    expect(broken.log).toContain("error failed to answer a call");
  });

  test("take no notice of a query", async () => {
    expect((await get("/healthz?probe=1"))[0]).toBe(200);
  });

  test.each(["/nothing", "/__proto__", "/constructor", "/grpc.health.v1.Health/Nothing"])(
    "do not exist at %s",
    async (path) => {
      const [status, type, body] = await get(path);
      expect([status, type]).toEqual([404, "application/json"]);
      expect(JSON.parse(body)).toMatchObject({
        code: "unimplemented",
        message: expect.stringContaining(`path ${path} does not exist`),
      });
    },
  );
});

describe("an RPC that is asked for in the wrong way", () => {
  test("with another method names the right one", async () => {
    const answer = await fetch(`${server.port.url}${check}`);
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "POST"]);
    expect(await answer.json()).toEqual({ code: "unimplemented", message: "method GET is not allowed, use POST" });
  });

  test("with another content-type names those that are served", async () => {
    const [status, , body] = await get(check, { method: "POST", body: "service=x" });
    expect(status).toBe(415);
    expect(JSON.parse(body)).toMatchObject({
      message: expect.stringMatching(/^content-type "text\/plain.*" is not served, use application\/json/),
    });
  });

  test("as a stream in both directions over HTTP/1.1 names HTTP/2", async () => {
    const headers = { "content-type": "application/connect+json" };
    const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    const answer = await fetch(`${server.port.url}${path}`, { method: "POST", headers, body: "" });
    expect([answer.status, answer.headers.get("connection")]).toEqual([505, "close"]);
    expect(await answer.json()).toEqual({ code: "unimplemented", message: "streams in both directions need HTTP/2" });
  });

  test.each([
    ["gRPC", () => createGrpcTransport({ baseUrl: server.port.url })],
    ["gRPC-Web", () => createGrpcWebTransport({ baseUrl: server.port.url, httpVersion: "1.1" })],
  ])("of a service that is not here is UNIMPLEMENTED in %s, with the services that are", async (_name, transport) => {
    const client = createClient(SignalService, transport());
    const error = ConnectError.from(await client.sendSignal({}).catch((reason: unknown) => reason));
    expect(error.code).toBe(Code.Unimplemented);
    expect(error.rawMessage).toMatch(
      /^path \/coordination\.v1\.SignalService\/SendSignal does not exist, services are grpc\.health/,
    );
  });
});

describe("pages of other origins", () => {
  const preflight = (origin: string) =>
    fetch(`${server.port.url}${check}`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
    });

  test("may call when they are listed", async () => {
    const answer = await preflight("https://good.example");
    expect([answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([204, "https://good.example"]);
    expect(answer.headers.get("access-control-allow-headers")?.toLowerCase()).toContain("connect-protocol-version");
    expect(answer.headers.get("vary")).toBe("Origin");
  });

  test("may read the answer and its status when they are listed", async () => {
    const headers = { origin: "https://good.example", "content-type": "application/json" };
    const answer = await fetch(`${server.port.url}${check}`, { method: "POST", headers, body: "{}" });
    expect(await answer.json()).toEqual({ status: "SERVING" });
    expect(answer.headers.get("access-control-allow-origin")).toBe("https://good.example");
    expect(answer.headers.get("access-control-expose-headers")?.toLowerCase()).toContain("grpc-status");
  });

  test("may not when they are not", async () => {
    const answer = await preflight("https://bad.example");
    expect([answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([204, null]);
  });

  test("may all when every origin is allowed, and none by default", async () => {
    await using open = await openTestPort({ allowedOrigins: ["*"] });
    await using closed = await openTestPort();
    const allowed = async ({ port }: TestPort) =>
      (await fetch(`${port.url}/healthz`, { headers: { origin: "https://any.example" } })).headers.get(
        "access-control-allow-origin",
      );
    expect([await allowed(open), await allowed(closed)]).toEqual(["*", null]);
  });
});
