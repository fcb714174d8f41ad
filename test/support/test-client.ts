/** Clients of the server's services, over every protocol and version of HTTP that it speaks. */
import { Agent } from "node:http";
import { createRegistry } from "@bufbuild/protobuf";
import { ViolationsSchema } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { AgentRegistryService } from "@coordination-signals/proto/coordination/v1/agent_registry_service";
import { CoordinationService } from "@coordination-signals/proto/coordination/v1/coordination_service";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { StateService } from "@coordination-signals/proto/coordination/v1/state_service";
import { ErrorInfoSchema, RetryInfoSchema } from "@coordination-signals/proto/google/rpc/error_details";

/** A client of everything. Disposing of it closes its connections at once. */
export interface TestClient extends Disposable {
  readonly signals: Client<typeof SignalService>;
  readonly agents: Client<typeof AgentRegistryService>;
  readonly coordinations: Client<typeof CoordinationService>;
  readonly state: Client<typeof StateService>;
  readonly transport: Transport;
  /** Destroys the connections, and with them every open call. */
  disconnect(): void;
}

/** One way of speaking to the server. */
export interface Protocol {
  readonly name: string;
  /** Whether messages are in protobuf's binary form, not JSON. */
  readonly isBinary: boolean;
  readonly connect: (url: string, options?: ConnectOptions) => TestClient;
}

/** How a client differs from the usual one. */
export interface ConnectOptions {
  /** Sends reads as GET where the protocol can. */
  readonly useHttpGet?: boolean;
  /** Compresses every message it sends. */
  readonly compresses?: boolean;
}

/** In JSON the details of errors can only be read by who knows their types. */
const registry = createRegistry(ErrorInfoSchema, RetryInfoSchema, ViolationsSchema);

type Family = "gRPC" | "gRPC-Web" | "Connect";

/** gRPC over HTTP/2, what most tests use that do not care. */
export const grpc = protocol("gRPC", "2", true);

/** Connect with JSON over HTTP/1.1, the plainest. */
export const connectJson = protocol("Connect", "1.1", false);

/** Every protocol, form and version of HTTP that clients can speak. */
export const protocols: readonly Protocol[] = [
  grpc,
  protocol("gRPC", "2", false),
  protocol("gRPC-Web", "1.1", true),
  protocol("gRPC-Web", "2", false),
  protocol("Connect", "1.1", true),
  connectJson,
  protocol("Connect", "2", true),
  protocol("Connect", "2", false),
];

function protocol(family: Family, httpVersion: "1.1" | "2", useBinaryFormat: boolean): Protocol {
  return {
    name: `${family} with ${useBinaryFormat ? "binary" : "JSON"} over HTTP/${httpVersion}`,
    isBinary: useBinaryFormat,
    connect: (baseUrl, { useHttpGet = false, compresses = false } = {}) => {
      const connection = httpVersion === "2" ? http2Connection(baseUrl) : http1Connection();
      const options = {
        ...connection.options,
        ...(compresses && { sendCompression: compressionGzip, compressMinBytes: 0 }),
        ...{ baseUrl, useBinaryFormat, jsonOptions: { registry } },
      };
      return clientOf(transportOf(family, options, useHttpGet), connection.close);
    },
  };
}

type TransportOptions = Parameters<typeof createGrpcWebTransport>[0];

function transportOf(family: Family, options: TransportOptions, useHttpGet: boolean): Transport {
  switch (family) {
    case "gRPC":
      if (options.httpVersion !== "2") throw new Error("gRPC needs HTTP/2");
      return createGrpcTransport(options);
    case "gRPC-Web":
      return createGrpcWebTransport(options);
    case "Connect":
      return createConnectTransport({ ...options, useHttpGet });
  }
}

function http2Connection(url: string) {
  const sessionManager = new Http2SessionManager(url);
  return { options: { httpVersion: "2", sessionManager } as const, close: () => sessionManager.abort() };
}

function http1Connection() {
  const agent = new Agent({ keepAlive: true });
  return { options: { httpVersion: "1.1", nodeOptions: { agent } } as const, close: () => agent.destroy() };
}

function clientOf(transport: Transport, disconnect: () => void): TestClient {
  return {
    signals: createClient(SignalService, transport),
    agents: createClient(AgentRegistryService, transport),
    coordinations: createClient(CoordinationService, transport),
    state: createClient(StateService, transport),
    transport,
    disconnect,
    [Symbol.dispose]: disconnect,
  };
}
