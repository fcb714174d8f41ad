import { type Message, toBinary } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import {
  CoordinationService,
  type WaitForRequest,
  WaitForResponseSchema,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import type { ConditionState } from "../coordination/waits/condition-state.js";
import type { WaitCall, WaitSink } from "../coordination/waits/wait-call.js";
import type { CallOutcomes } from "./call-outcomes.js";
import type { FrameCall, FrameMethod, FrameStream } from "./frame-method.js";
import { grpcFrame } from "./grpc-frame.js";
import { nameOfMethod } from "./interceptors.js";
import type { ServiceDependencies } from "./service-dependencies.js";
import { waitRequestFrom, waitResponse } from "./wait-message.js";

const method = CoordinationService.method.waitFor;
const methodName = nameOfMethod(method);

/** Serves WaitFor over binary gRPC: between a wait and its call there is one object. */
export class WaitForMethod implements FrameMethod {
  readonly #dependencies: ServiceDependencies;
  readonly #outcomes: CallOutcomes;

  constructor(dependencies: ServiceDependencies, outcomes: CallOutcomes) {
    this.#dependencies = dependencies;
    this.#outcomes = outcomes;
  }

  begin(request: Message, call: FrameCall): FrameStream | undefined {
    const { coordinator, expressions, validator } = this.#dependencies;
    try {
      validator.validate(method.input, request as WaitForRequest);
      const wanted = waitRequestFrom(request as WaitForRequest, expressions, call.remainingMs);
      const stream = new WaitStream(this.#outcomes, call);
      const wait = coordinator.waits.open(wanted, stream);
      if (stream.isAnswered) return undefined;
      stream.wait = wait;
      return stream;
    } catch (error) {
      this.refuse(error, call);
      return undefined;
    }
  }

  refuse(error: unknown, call: FrameCall): void {
    call.fail(this.#outcomes.failed(methodName, error));
  }
}

/** Writes the answer of a wait to its call. */
class WaitStream implements WaitSink, FrameStream {
  /** Undefined before it has begun, and once it has ended. */
  wait: WaitCall | undefined;
  isAnswered = false;
  readonly #outcomes: CallOutcomes;
  readonly #call: FrameCall;

  constructor(outcomes: CallOutcomes, call: FrameCall) {
    this.#outcomes = outcomes;
    this.#call = call;
  }

  succeed(states: readonly ConditionState[]): void {
    this.#ended();
    this.#call.succeed(grpcFrame(toBinary(WaitForResponseSchema, waitResponse(states))));
    this.#outcomes.succeeded(methodName);
  }

  fail(error: unknown): void {
    this.#ended();
    this.#call.fail(this.#outcomes.failed(methodName, error));
  }

  /** There is nothing that it would have held back. */
  resume(): void {}

  leave(reason: ConnectError): void {
    const { wait } = this;
    if (wait === undefined) return;
    this.#ended();
    wait.leave(reason);
    this.#outcomes.left(methodName, reason);
  }

  #ended(): void {
    this.isAnswered = true;
    this.wait = undefined;
  }
}
