import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { AgentRegistryService } from "@coordination-signals/proto/coordination/v1/agent_registry_service";
import { CoordinationService } from "@coordination-signals/proto/coordination/v1/coordination_service";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { StateService } from "@coordination-signals/proto/coordination/v1/state_service";
import { agentRegistryService } from "./agent-registry-service.js";
import { CallOutcomes } from "./call-outcomes.js";
import { coordinationService } from "./coordination-service.js";
import { failedSendInterceptor } from "./failed-send.js";
import type { FrameMethod, FrameMethods, RequestFrameMethod } from "./frame-method.js";
import { errorInterceptor, nameOfMethod, validationInterceptor } from "./interceptors.js";
import type { ServiceDependencies } from "./service-dependencies.js";
import { signalService } from "./signal-service.js";
import { stateService } from "./state-service.js";
import { StreamSignalsMethod } from "./stream-signals-method.js";
import { SubscribeMethod } from "./subscribe-method.js";
import { WaitForMethod } from "./wait-for-method.js";

/** The services of the contract. */
export const services: readonly DescService[] = [
  SignalService,
  AgentRegistryService,
  CoordinationService,
  StateService,
];

/** Every procedure of the contract, as `package.Service/Method`. */
export const procedures: readonly string[] = services.flatMap((service) => service.methods.map(nameOfMethod));

/** Registers the services of the contract on a router. */
export function registerServices(router: ConnectRouter, dependencies: ServiceDependencies): void {
  router.service(SignalService, signalService(dependencies));
  router.service(AgentRegistryService, agentRegistryService(dependencies));
  router.service(CoordinationService, coordinationService(dependencies));
  router.service(StateService, stateService(dependencies));
}

/** What every call passes through, outermost first, but those of `frameMethods`. */
export function serviceInterceptors(dependencies: ServiceDependencies): Interceptor[] {
  const { logger, validator } = dependencies;
  const outcomes = new CallOutcomes(dependencies);
  return [errorInterceptor(outcomes), failedSendInterceptor(logger), validationInterceptor(validator)];
}

/** The methods that write their frames themselves over binary gRPC. */
export function frameMethods(dependencies: ServiceDependencies): FrameMethods {
  const outcomes = new CallOutcomes(dependencies);
  const { subscribe, streamSignals } = SignalService.method;
  const { waitFor } = CoordinationService.method;
  return new Map<string, FrameMethod | RequestFrameMethod>([
    [`/${nameOfMethod(subscribe)}`, new SubscribeMethod(dependencies, outcomes)],
    [`/${nameOfMethod(streamSignals)}`, new StreamSignalsMethod(dependencies, outcomes)],
    [`/${nameOfMethod(waitFor)}`, new WaitForMethod(dependencies, outcomes)],
  ]);
}
