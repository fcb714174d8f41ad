import type { DescService } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createMethodImplSpec,
  createServiceImplSpec,
  type MethodImplSpec,
} from "@connectrpc/connect";
import { createMethodUrl } from "@connectrpc/connect/protocol";

/** The methods that gRPC clients may call, by path. */
export type GrpcMethods = ReadonlyMap<string, MethodImplSpec>;

/** Passes registrations on to `router` and keeps each method's implementation in `methods`. */
export function recordingRouter(router: ConnectRouter, methods: Map<string, MethodImplSpec>): ConnectRouter {
  const record = (spec: MethodImplSpec) => methods.set(createMethodUrl("/", spec.method), spec);
  const recording: ConnectRouter = {
    handlers: router.handlers,
    service(service, implementation, options) {
      router.service(service, implementation, options);
      for (const spec of Object.values(createServiceImplSpec<DescService>(service, implementation).methods))
        record(spec);
      return this;
    },
    rpc(method, implementation, options) {
      router.rpc(method, implementation, options);
      record(createMethodImplSpec(method, implementation));
      return this;
    },
  };
  return recording;
}
