import { Code } from "@connectrpc/connect";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import { jsonResponse } from "./error-chunks.js";
import { type HttpRequest, headerOf, pathOf } from "./http-exchange.js";

/** What the pages show. */
export interface OperationsPagesOptions {
  readonly version: string;
  /** Names of the RPC services, for the page at `/`. */
  readonly services: readonly string[];
  readonly isReady: () => boolean;
  readonly renderMetrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
}

/** Answers everything that is no RPC: `/`, `/healthz`, `/readyz`, `/metrics`, and what does not exist. */
export async function operationsPage(
  request: HttpRequest,
  options: OperationsPagesOptions,
): Promise<UniversalServerResponse> {
  const path = pathOf(request);
  const page = pages[path];
  if (page === undefined) return notFound(request, path, options);
  const { method = "" } = request;
  if (method !== "GET" && method !== "HEAD") {
    const message = `method ${method} is not allowed for ${path}, use GET`;
    return jsonResponse(405, { code: "unimplemented", message }, { allow: "GET, HEAD" });
  }
  const response = await page(options);
  return method === "HEAD" ? { ...response, body: none() } : response;
}

type Page = (options: OperationsPagesOptions) => UniversalServerResponse | Promise<UniversalServerResponse>;

const pages: Readonly<Record<string, Page>> = {
  // Without a prototype, so that no path finds what every object has.
  __proto__: null as never,
  "/": (options) => text(200, welcome(options)),
  "/healthz": () => text(200, "ok\n"),
  "/readyz": ({ isReady }) => (isReady() ? text(200, "ready\n") : text(503, "not ready\n")),
  "/metrics": async ({ renderMetrics }) => {
    const { contentType, body } = await renderMetrics();
    return text(200, body, contentType);
  },
};

function welcome({ version, services }: OperationsPagesOptions): string {
  return [
    `Coordination signal server ${version}`,
    "",
    "It speaks gRPC, gRPC-Web and Connect on this port. Services:",
    ...services.map((service) => `  ${service}`),
    "",
    "Try, with this host and port:",
    "  grpcurl -plaintext HOST:PORT list",
    `  curl -H 'content-type: application/json' -d '{}' http://HOST:PORT/coordination.v1.CoordinationService/ListCoordinations`,
    "",
    "Also here: /healthz, /readyz, /metrics",
    "",
  ].join("\n");
}

function notFound(request: HttpRequest, path: string, { services }: OperationsPagesOptions): UniversalServerResponse {
  const message = `path ${path.slice(0, 200)} does not exist, services are ${services.join(", ")}`;
  const type = headerOf(request, "content-type");
  if (!type.startsWith("application/grpc")) return jsonResponse(404, { code: "unimplemented", message });
  const header = new Headers({ "content-type": type });
  const status = { "grpc-status": String(Code.Unimplemented), "grpc-message": encodeURIComponent(message) };
  // gRPC-Web has no trailers of HTTP: without a body, it reads the status out of the headers.
  if (!type.startsWith("application/grpc-web")) return { status: 200, header, trailer: new Headers(status) };
  for (const [name, value] of Object.entries(status)) header.set(name, value);
  return { status: 200, header };
}

function text(status: number, body: string, contentType = "text/plain; charset=utf-8"): UniversalServerResponse {
  const data = Buffer.from(body, "utf8");
  const header = new Headers({ "content-type": contentType, "content-length": String(data.byteLength) });
  return { status, header, body: one(data) };
}

async function* one(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}

async function* none(): AsyncGenerator<Uint8Array> {}
