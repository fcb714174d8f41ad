import { toBinary } from "@bufbuild/protobuf";
import {
  type GetSignalHistoryRequest,
  GetSignalHistoryRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { pageOfBytes } from "../encoded-page.js";
import { nextPageTokenIn } from "../signal-batch-decoder.js";
import type { SignalPage } from "../signal-page.js";
import type { PageOptions } from "../signal-streams.js";
import type { AttemptEvents } from "../unary-calls.js";
import type { GrpcStreamTarget } from "./grpc-stream.js";
import { GrpcUnaryCall, promisedCall } from "./grpc-unary-call.js";

/** Reads a page of history from the bytes of its stream. */
export function readGrpcHistory(
  target: GrpcStreamTarget,
  request: GetSignalHistoryRequest,
  options: PageOptions,
): Promise<SignalPage> {
  const bytes = toBinary(GetSignalHistoryRequestSchema, request);
  return promisedCall(
    (events: AttemptEvents<SignalPage>) => new HistoryCall(target, { ...options, bytes }, events),
    options.signal,
    (page) => page,
  );
}

class HistoryCall extends GrpcUnaryCall<SignalPage> {
  readonly #onNextPageToken: PageOptions["onNextPageToken"];

  constructor(
    target: GrpcStreamTarget,
    request: PageOptions & { readonly bytes: Uint8Array },
    events: AttemptEvents<SignalPage>,
  ) {
    super({ ...target, decode: pageOfBytes }, request, events);
    this.#onNextPageToken = request.onNextPageToken;
  }

  onBegin(firstBytes: Buffer): void {
    const token = nextPageTokenIn(firstBytes);
    if (token !== undefined) this.#onNextPageToken?.(token);
  }
}
