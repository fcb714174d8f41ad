/**
 * The one port of the server: gRPC, gRPC-Web and Connect, reflection, health and the pages for operators, over HTTP/1.1
 * and HTTP/2 (prior knowledge) in plain text. Every connection and call is counted and watched from accepting to closing;
 * one coarse timer looks at all of them, so that a watched call costs no timer of its own.
 */
import { createServer as createHttp1Server, type Server as Http1Server } from "node:http";
import { createServer as createHttp2Server, type Http2Server, type ServerOptions } from "node:http2";
import { createServer, type Server, type Socket } from "node:net";
import type { DescService, Registry } from "@bufbuild/protobuf";
import type { ConnectRouter, Interceptor, MethodImplSpec } from "@connectrpc/connect";
import { Health } from "@coordination-signals/proto/grpc/health/v1/health";
import { ServerReflection as ReflectionV1 } from "@coordination-signals/proto/grpc/reflection/v1/reflection";
import { ServerReflection as ReflectionV1Alpha } from "@coordination-signals/proto/grpc/reflection/v1alpha/reflection";
import { errorDetailTypes } from "../rpc/error-details.js";
import type { FrameMethods } from "../rpc/frame-method.js";
import { abortCall } from "./abort-call.js";
import { CallTable } from "./call-table.js";
import { ConnectionTable } from "./connection-table.js";
import { type AllowedOrigins, allowCrossOrigin } from "./cross-origin.js";
import { detectProtocol } from "./detect-protocol.js";
import { recordingRouter } from "./grpc/grpc-method.js";
import { GrpcServer } from "./grpc/grpc-server.js";
import { registerHealth } from "./health-service.js";
import type { HealthState } from "./health-state.js";
import { type HttpRequest, type HttpResponse, pathOf } from "./http-exchange.js";
import { listen, type PortAddress, urlOf } from "./listen.js";
import type { OpenCall } from "./open-call.js";
import { type OperationsPagesOptions, operationsPage } from "./operations-pages.js";
import { type PortLimits, sweepIntervalMs } from "./port-limits.js";
import type { PortLogger } from "./port-logger.js";
import type { PortObserver } from "./port-observer.js";
import { registerReflection } from "./reflection-service.js";
import { RequestMemory } from "./request-memory.js";
import { writeResponse } from "./response-writer.js";
import { RpcHandler } from "./rpc-handler.js";

/** What a port serves, and how. */
export interface PortOptions extends Omit<OperationsPagesOptions, "services"> {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Registers the services; health and reflection are added by the port. */
  readonly routes: (router: ConnectRouter) => void;
  /** What reflection tells of, beside health and itself. */
  readonly services: readonly DescService[];
  readonly health: HealthState;
  readonly limits: PortLimits;
  readonly logger: PortLogger;
  readonly observer?: PortObserver;
  readonly interceptors?: readonly Interceptor[];
  /** Methods of the services that binary gRPC leaves to themselves, without the interceptors. */
  readonly frameMethods?: FrameMethods;
  /** Types that answers in JSON may carry in a `google.protobuf.Any`; by default those of the contract's errors. */
  readonly messageTypes?: Registry;
  /** Origins whose scripts may call from a browser; none by default, `"*"` for all. */
  readonly allowedOrigins?: AllowedOrigins;
}

/** A listening port. */
export interface Port {
  /** `http://HOST:PORT` */
  readonly url: string;
  readonly address: PortAddress;
  /** Connections that are open now. */
  connectionCount(): number;
  /** Calls that are open now. */
  callCount(): number;
  /**
   * Stops listening, lets open calls end for at most `graceMs`, then ends what is left. Resolves when every connection
   * has closed. Health watches end at once. Safe to repeat.
   */
  drain(options: { readonly graceMs: number }): Promise<void>;
}

/** Bytes of requests a connection may send ahead: the default of 64 KiB holds calls back in an order not their own. */
const connectionWindowBytes = 1024 * 1024;
/** Bytes of one request a client may send ahead. */
const streamWindowBytes = 256 * 1024;
/** Memory of one HTTP/2 connection, in MB: at the default of 10, busy streams and 64 sends in flight are too much. */
const maxSessionMemoryMb = 256;

/** Opens the port. Rejects with a message that says what to do when it cannot listen. */
export async function openPort(options: PortOptions): Promise<Port> {
  const port = new ListeningPort(options);
  await port.listen();
  return port;
}

class ListeningPort implements Port {
  readonly #options: PortOptions;
  readonly #observer: PortObserver;
  readonly #connections: ConnectionTable;
  readonly #calls: CallTable;
  readonly #rpc: RpcHandler;
  readonly #grpc: GrpcServer;
  readonly #pages: OperationsPagesOptions;
  readonly #server: Server;
  readonly #http1: Http1Server;
  readonly #http2: Http2Server;
  /** Makes requests and responses of the streams that are no plain gRPC; it never listens. */
  readonly #http2Requests: Http2Server;
  #sweeping: NodeJS.Timeout | undefined;
  #address: PortAddress;
  #drained: Promise<void> | undefined;

  constructor(options: PortOptions) {
    const { limits, logger, observer = {}, interceptors = [] } = options;
    const now = () => performance.now();
    const handle = (request: HttpRequest, response: HttpResponse) => this.#handle(request, response);
    const services = [...options.services, Health, ReflectionV1, ReflectionV1Alpha];
    this.#options = options;
    this.#observer = observer;
    this.#address = options;
    this.#pages = { ...options, services: services.map((service) => service.typeName) };
    this.#connections = new ConnectionTable({ limits, observer, logger, now });
    this.#calls = new CallTable({ limits, observer, connections: this.#connections, now });
    const methods = new Map<string, MethodImplSpec>();
    const shared = {
      limits,
      observer,
      logger,
      interceptors,
      memory: new RequestMemory(limits.maxUnfinishedRequestBytes),
    };
    this.#rpc = new RpcHandler({
      ...shared,
      messageTypes: options.messageTypes ?? errorDetailTypes,
      routes: (router) => register(recordingRouter(router, methods), options, services),
    });
    const frameMethods = options.frameMethods ?? new Map();
    this.#grpc = new GrpcServer({ ...shared, methods, frameMethods, calls: this.#calls });
    this.#http1 = createHttp1Server({ keepAliveTimeout: limits.idleTimeoutMs }, handle);
    this.#http2 = createHttp2Server(http2Options(limits));
    this.#http2Requests = createHttp2Server(handle);
    this.#http2.on("stream", (stream, headers, ...further) => {
      if (!this.#grpc.accept(stream, headers)) this.#http2Requests.emit("stream", stream, headers, ...further);
    });
    this.#server = createServer(
      { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: limits.keepaliveIntervalMs },
      (socket) => this.#accept(socket),
    );
  }

  get url(): string {
    return urlOf(this.#address);
  }

  get address(): PortAddress {
    return this.#address;
  }

  connectionCount(): number {
    return this.#connections.size;
  }

  callCount(): number {
    return this.#calls.size;
  }

  async listen(): Promise<void> {
    this.#address = await listen(this.#server, this.#options);
    // Accepting can fail later, for example for want of file descriptors; the port goes on with what it has.
    this.#server.on("error", (error) => this.#options.logger.warn({ err: error }, "failed to accept a connection"));
    this.#sweeping = setInterval(() => this.#sweep(), sweepIntervalMs(this.#options.limits));
  }

  drain({ graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#drained ??= this.#drain(graceMs);
    return this.#drained;
  }

  async #drain(graceMs: number): Promise<void> {
    const stoppedListening = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#options.health.end();
    this.#calls.close();
    const empty = this.#connections.close();
    const grace = setTimeout(() => this.#connections.destroyAll(), graceMs);
    await empty;
    clearTimeout(grace);
    clearInterval(this.#sweeping);
    await stoppedListening;
  }

  #sweep(): void {
    // Calls first: a connection that accepts nothing is then reported as the stalled call it is.
    this.#calls.sweep();
    this.#connections.sweep();
  }

  #accept(socket: Socket): void {
    if (!this.#connections.add(socket)) return;
    detectProtocol(socket, (version) => {
      if (version === "h2") this.#acceptHttp2(socket);
      else this.#http1.emit("connection", socket);
    });
  }

  #acceptHttp2(socket: Socket): void {
    // A client that ends its side has left: with half of it open the session would never know.
    socket.allowHalfOpen = false;
    this.#http2.once("session", (session) => {
      this.#connections.setSession(socket, session);
      session.setLocalWindowSize(connectionWindowBytes);
    });
    this.#http2.emit("connection", socket);
  }

  #handle(request: HttpRequest, response: HttpResponse): void {
    const call = this.#calls.open(request, response);
    if (call === undefined) return;
    if (allowCrossOrigin(request, response, this.#options.allowedOrigins ?? [])) return;
    if (this.#rpc.has(pathOf(request))) void this.#rpc.serve(call);
    else void this.#servePage(call);
  }

  async #servePage(call: OpenCall): Promise<void> {
    try {
      await writeResponse(await operationsPage(call.request, this.#pages), call, this.#observer);
    } catch (error) {
      if (!call.closed) abortCall(call, error, this.#options.logger);
    }
  }
}

function register(router: ConnectRouter, { routes, health }: PortOptions, services: readonly DescService[]): void {
  registerHealth(router, health);
  registerReflection(router, services);
  routes(router);
}

/** Known to Node.js from 22.10 on; before, a connection ends after 1,000 resets that come faster than 33 a second. */
interface ResetLimits {
  /** Streams a client may reset at once before its connection is ended. */
  readonly streamResetBurst: number;
  /** Streams a client may reset in a second for as long as it likes. */
  readonly streamResetRate: number;
}

function http2Options(limits: PortLimits): ServerOptions & ResetLimits {
  return {
    maxSessionMemory: maxSessionMemoryMb,
    // A client that leaves all its subscriptions at once is no attack.
    streamResetBurst: Math.max(1_000, limits.maxStreamsPerConnection),
    streamResetRate: Math.max(100, Math.ceil(limits.maxStreamsPerConnection / 10)),
    settings: { maxConcurrentStreams: limits.maxStreamsPerConnection, initialWindowSize: streamWindowBytes },
  };
}
