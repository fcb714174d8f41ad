import { HealthCheckResponse_ServingStatus as ServingStatus } from "@coordination-signals/proto/grpc/health/v1/health";
import type { Logger } from "pino";
import type { ServerConfig } from "./config.js";
import { type CoordinationCore, type CoordinationCoreDependencies, openCoordinationCore } from "./coordination-core.js";
import { services } from "./rpc/routes.js";
import { serverVersion } from "./version.js";
import { HealthState } from "./wire/health-state.js";
import { openPort, type Port } from "./wire/port.js";
import { defaultPortLimits, type PortLimits } from "./wire/port-limits.js";
import type { PortObserver } from "./wire/port-observer.js";

/** A server that listens. */
export interface RunningServer {
  /** `http://HOST:PORT` */
  readonly url: string;
  /**
   * Ends it: subscriptions end with their last position, open calls get the time of grace, what is left is cut off, and
   * the store is closed. Safe to repeat.
   */
  stop(): Promise<void>;
  /**
   * Ends it after its store has failed: open calls get `graceMs` to end, of which those that wait for the store have their
   * answer already, and nothing is written any more.
   */
  abandon(graceMs: number): Promise<void>;
}

/** Starts a server. Rejects with a message that says what to do when the store cannot be opened or the port is taken. */
export async function startServer(
  config: ServerConfig,
  dependencies: CoordinationCoreDependencies,
): Promise<RunningServer> {
  const { logger } = dependencies;
  const core = await openCoordinationCore(config, dependencies);
  const health = new HealthState(services.map((service) => service.typeName));
  const port = await openServerPort(config, core, health, logger).catch(async (error: unknown) => {
    await core.close();
    throw error;
  });
  health.setServing(true);
  core.warmUp();
  let stopped: Promise<void> | undefined;
  core.watchAvailability((isAvailable) => health.setServing(isAvailable && stopped === undefined));
  return {
    url: port.url,
    stop: () => {
      stopped ??= stop({ core, health, port }, config.shutdownGraceMs);
      return stopped;
    },
    abandon: async (graceMs) => {
      health.setServing(false);
      core.drain();
      await port.drain({ graceMs });
    },
  };
}

function openServerPort(
  config: ServerConfig,
  core: CoordinationCore,
  health: HealthState,
  logger: Logger,
): Promise<Port> {
  return openPort({
    host: config.host,
    port: config.port,
    version: serverVersion,
    services,
    routes: core.routes,
    interceptors: core.interceptors,
    frameMethods: core.frameMethods,
    health,
    isReady: () => health.status("") === ServingStatus.SERVING,
    renderMetrics: () => core.metrics.render(),
    limits: portLimits(config),
    observer: portObserver(core, logger),
    allowedOrigins: config.allowedOrigins,
    logger,
  });
}

async function stop(
  { core, health, port }: { readonly core: CoordinationCore; readonly health: HealthState; readonly port: Port },
  graceMs: number,
): Promise<void> {
  health.setServing(false);
  core.drain();
  await port.drain({ graceMs });
  await core.close();
}

function portLimits(config: ServerConfig): PortLimits {
  return {
    ...defaultPortLimits,
    maxCallTimeMs: config.maxCallTimeMs,
    maxConnections: config.maxConnections,
    maxStreamsPerConnection: config.maxStreamsPerConnection,
    maxCalls: config.maxCalls,
    prefaceTimeoutMs: config.prefaceTimeoutMs,
    requestTimeoutMs: config.requestTimeoutMs,
    idleTimeoutMs: config.idleTimeoutMs,
    keepaliveIntervalMs: config.keepaliveIntervalMs,
    // A client that accepts nothing answers no ping either; it is to be ended as the slow subscriber it is.
    keepaliveTimeoutMs: Math.max(config.keepaliveIntervalMs, config.subscriberStallTimeoutMs),
    subscriberStallTimeoutMs: config.subscriberStallTimeoutMs,
  };
}

function portObserver({ metrics }: CoordinationCore, logger: Logger): PortObserver {
  return {
    connectionOpened: () => metrics.connectionOpened(),
    connectionClosed: () => metrics.connectionClosed(),
    connectionRefused: () => logger.warn({}, "refused a connection: as many as allowed are open"),
    callOpened: () => metrics.streamOpened(),
    callClosed: () => metrics.streamClosed(),
    callRefused: (reason) => {
      metrics.error(reason);
      logger.debug({ reason }, "refused a call");
    },
    subscriberStalled: (stalled) => {
      metrics.error("SUBSCRIBER_TOO_SLOW");
      logger.warn({ reason: "SUBSCRIBER_TOO_SLOW", ...stalled }, "ended a subscriber that accepts nothing");
    },
  };
}
