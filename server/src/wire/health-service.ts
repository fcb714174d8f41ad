import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import {
  Health,
  type HealthCheckRequest,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "@coordination-signals/proto/grpc/health/v1/health";
import type { HealthState } from "./health-state.js";

/** Serves `grpc.health.v1.Health` from `state`: check (NOT_FOUND for an unknown service), list, and watch until `state.end()`. */
export function registerHealth(router: ConnectRouter, state: HealthState): void {
  router.service(Health, {
    check: ({ service }) => ({ status: knownStatus(state, service) }),
    list: () => ({
      statuses: Object.fromEntries(state.services.map((name) => [name, { status: knownStatus(state, name) }])),
    }),
    watch: (request, context) => watch(state, request, context),
  });
}

function knownStatus(state: HealthState, service: string): ServingStatus {
  const status = state.status(service);
  if (status !== undefined) return status;
  throw new ConnectError(
    `service "${service}" is unknown, known are ${state.services.map((name) => `"${name}"`).join(", ")}`,
    Code.NotFound,
  );
}

async function* watch(state: HealthState, { service }: HealthCheckRequest, { signal }: HandlerContext) {
  let sent: ServingStatus | undefined;
  while (!signal.aborted) {
    const status = state.status(service) ?? ServingStatus.SERVICE_UNKNOWN;
    if (status !== sent) {
      sent = status;
      yield { status };
      continue;
    }
    if (state.ended) return;
    await state.changed(signal);
  }
}
