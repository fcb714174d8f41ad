import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { AgentRegistryService } from "@coordination-signals/proto/coordination/v1/agent_registry_service";
import { CoordinationService } from "@coordination-signals/proto/coordination/v1/coordination_service";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { StateService } from "@coordination-signals/proto/coordination/v1/state_service";
import { agentRegistryService } from "./agent-registry-service.js";
import { coordinationService } from "./coordination-service.js";
import { failedSendInterceptor } from "./failed-send.js";
import { errorInterceptor, validationInterceptor } from "./interceptors.js";
import type { ServiceDependencies } from "./service-dependencies.js";
import { signalService } from "./signal-service.js";
import { stateService } from "./state-service.js";

/** The services of the contract. */
export const services: readonly DescService[] = [
  SignalService,
  AgentRegistryService,
  CoordinationService,
  StateService,
];

/** Every procedure of the contract, as `package.Service/Method`. */
export const procedures: readonly string[] = services.flatMap((service) =>
  service.methods.map((method) => `${service.typeName}/${method.name}`),
);

/** Registers the services of the contract on a router. */
export function registerServices(router: ConnectRouter, dependencies: ServiceDependencies): void {
  router.service(SignalService, signalService(dependencies));
  router.service(AgentRegistryService, agentRegistryService(dependencies));
  router.service(CoordinationService, coordinationService(dependencies));
  router.service(StateService, stateService(dependencies));
}

/** What every call passes through, outermost first. */
export function serviceInterceptors(dependencies: ServiceDependencies): Interceptor[] {
  const { logger, validator } = dependencies;
  return [errorInterceptor(dependencies), failedSendInterceptor(logger), validationInterceptor(validator)];
}
