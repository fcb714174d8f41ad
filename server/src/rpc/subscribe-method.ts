import type { Message } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { SignalService, type SubscribeRequest } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { ItemSink, PumpedReader } from "../delivery/item-sink.js";
import type { TailItem } from "../delivery/tail-item.js";
import type { CallOutcomes } from "./call-outcomes.js";
import type { FrameCall, FrameMethod, FrameStream } from "./frame-method.js";
import { nameOfMethod } from "./interceptors.js";
import type { ServiceDependencies } from "./service-dependencies.js";
import { SubscriptionFrames } from "./subscription-frames.js";
import { subscriptionRequest } from "./subscription-request.js";

const method = SignalService.method.subscribe;
const methodName = nameOfMethod(method);

/** Serves Subscribe over binary gRPC: between a tailer and its call there is one object. */
export class SubscribeMethod implements FrameMethod {
  readonly #dependencies: ServiceDependencies;
  readonly #outcomes: CallOutcomes;
  readonly #frames = new SubscriptionFrames();

  constructor(dependencies: ServiceDependencies, outcomes: CallOutcomes) {
    this.#dependencies = dependencies;
    this.#outcomes = outcomes;
  }

  begin(request: Message, call: FrameCall): FrameStream | undefined {
    const { coordinator, validator } = this.#dependencies;
    try {
      validator.validate(method.input, request as SubscribeRequest);
      const wanted = subscriptionRequest(this.#dependencies, request as SubscribeRequest);
      const stream = new SubscriptionStream(this.#frames, this.#outcomes, call);
      stream.subscription = coordinator.openSubscription(wanted, stream);
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

/** Writes a subscription's items to its call. */
class SubscriptionStream implements ItemSink, FrameStream {
  /** Undefined once it has ended. */
  subscription: PumpedReader | undefined;
  readonly #frames: SubscriptionFrames;
  readonly #outcomes: CallOutcomes;
  readonly #call: FrameCall;

  constructor(frames: SubscriptionFrames, outcomes: CallOutcomes, call: FrameCall) {
    this.#frames = frames;
    this.#outcomes = outcomes;
    this.#call = call;
  }

  get isReady(): boolean {
    return this.#call.isReady;
  }

  write(item: TailItem): void {
    this.#call.write(this.#frames.frameOf(item));
  }

  end(): void {
    this.subscription = undefined;
    this.#outcomes.succeeded(methodName);
    this.#call.succeed();
  }

  fail(error: unknown): void {
    this.subscription = undefined;
    this.#call.fail(this.#outcomes.failed(methodName, error));
  }

  resume(): void {
    this.subscription?.resume();
  }

  leave(reason: ConnectError): void {
    if (this.subscription === undefined) return;
    this.subscription.leave();
    this.subscription = undefined;
    this.#outcomes.left(methodName, reason);
  }
}
