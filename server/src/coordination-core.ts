import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import type { SignalTransform } from "@coordination-signals/proto/coordination/v1/signal";
import type { Logger } from "pino";
import { loadOutgoingTransform, type OutgoingTransformConfig } from "./load-outgoing-transform.js";
import { MetricsCollector } from "./metrics/metrics-collector.js";
import { systemClock } from "./model/clock.js";
import { FilterExpressionCompiler } from "./model/filter-expression.js";
import { SignalExpressionCompiler } from "./model/signal-expression.js";
import { compileSignalTransform } from "./model/transform/signal-transform.js";
import type { ValidationPolicy } from "./registry/agent-validation.js";
import type { FrameMethods } from "./rpc/frame-method.js";
import { frameMethods, procedures, registerServices, serviceInterceptors, services } from "./rpc/routes.js";
import { RequestValidator } from "./rpc/validate-request.js";
import { warmUpRules } from "./rpc/warm-up-rules.js";
import { SignalCoordinator } from "./signal-coordinator.js";
import { FailStopStore } from "./store/fail-stop-store.js";
import { openStore as openStoreByUrl } from "./store/open-store.js";

/** What of the configuration concerns coordinations. */
export interface CoordinationCoreConfig extends OutgoingTransformConfig {
  /** `memory:`, `lmdb:DIR` or `postgres://...`. */
  readonly store: string;
  /** Signals each coordination keeps. */
  readonly maxHistorySignals: number;
  /** How long signals stay in history, in milliseconds; undefined keeps them whatever their age. */
  readonly retentionAgeMs: number | undefined;
  readonly maxCoordinations: number;
  readonly maxSubscriptions: number;
  readonly senderValidation: ValidationPolicy;
  readonly recipientValidation: ValidationPolicy;
  readonly waitValidation: ValidationPolicy;
  readonly maxWaits: number;
  readonly busyStallMs: number;
  readonly waitingStallMs: number;
}

/** Everything of the server but its port. */
export interface CoordinationCore {
  readonly metrics: MetricsCollector;
  readonly coordinator: SignalCoordinator;
  readonly interceptors: readonly Interceptor[];
  readonly frameMethods: FrameMethods;
  readonly routes: (router: ConnectRouter) => void;
  /** From now on tells the listener whether the store answers. What is stored in this process always does. */
  watchAvailability(listener: (isAvailable: boolean) => void): void;
  /** Soon makes ready what first calls would otherwise wait for; to be called when the server listens. */
  warmUp(): void;
  /** Refuses changes and ends subscriptions, each with its last checkpoint. */
  drain(): void;
  /** Makes what was accepted durable and closes the store; call it when no call is open any more. */
  close(): Promise<void>;
}

/** What a core works with beside its configuration. */
export interface CoordinationCoreDependencies {
  readonly logger: Logger;
  /** Called once, when the process has to end because its store has failed: it answers nothing any more. */
  readonly onFatal: (error: unknown) => void;
  /** Opens the store that the configuration names; by default one of `memory:`, `lmdb:` and `postgres:`. */
  readonly openStore?: typeof openStoreByUrl;
}

/** Opens the store and everything that works on it. Throws what opening the store throws. */
export async function openCoordinationCore(
  config: CoordinationCoreConfig,
  { logger, onFatal, openStore = openStoreByUrl }: CoordinationCoreDependencies,
): Promise<CoordinationCore> {
  const signalExpressions = new SignalExpressionCompiler();
  const validator = new RequestValidator();
  const compile = (transform: SignalTransform) => compileSignalTransform(transform, signalExpressions);
  const outgoing = await loadOutgoingTransform(config, { validator, compile, logger });
  const opened = await openStore(config.store, (message) => logger.warn({}, message));
  const store = new FailStopStore(opened, onFatal);
  const metrics = new MetricsCollector({ procedures });
  const expressions = new FilterExpressionCompiler(signalExpressions);
  const coordinator = new SignalCoordinator({
    ...config,
    store,
    metrics,
    clock: systemClock,
    expressions,
    retentionSignals: config.maxHistorySignals,
    outgoing,
    onWarning: ({ message, ...fields }) => logger.warn(fields, message),
    onBackgroundError: (error) => logger.error({ err: error }, "failed to write counters and leases, trying again"),
    onFatal: (error) => store.fail(error),
  });
  const dependencies = {
    coordinator,
    metrics,
    logger,
    validator,
    compileTransform: (transform: SignalTransform | undefined) => transform && compile(transform),
    expressions,
  };
  let stopWarmUp = (): void => undefined;
  return {
    metrics,
    coordinator,
    interceptors: serviceInterceptors(dependencies),
    frameMethods: frameMethods(dependencies),
    routes: (router) => registerServices(router, dependencies),
    watchAvailability: (listener) => {
      store.shared?.watchAvailability((isAvailable) => {
        if (isAvailable) logger.info({ store: store.url }, "the store answers again");
        else logger.error({ store: store.url }, "the store is out of reach: changes are refused until it answers");
        listener(isAvailable);
      });
    },
    warmUp: () => {
      stopWarmUp = warmUpRules(validator, services);
    },
    drain: () => {
      stopWarmUp();
      coordinator.drain();
    },
    close: async () => {
      await coordinator.close();
      await store.close();
    },
  };
}
