import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type StreamSignalsRequest,
  type StreamSignalsResponse,
  StreamSignalsResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { pulledItems } from "../delivery/pulled-items.js";
import { WakeLatch } from "../state/wake-latch.js";
import { batchResponse, type SendOutcome } from "./batch-response.js";
import { wantsBinary } from "./encoded-response.js";
import type { ServiceDependencies } from "./service-dependencies.js";
import { SignalStream } from "./signal-stream.js";

/** Stores the batches of a stream and answers them in their order, for the protocols whose messages are pulled. */
export async function* streamSignals(
  dependencies: ServiceDependencies,
  requests: AsyncIterable<StreamSignalsRequest>,
  context: HandlerContext,
): AsyncGenerator<StreamSignalsResponse> {
  const binary = wantsBinary(context);
  const answers = pulledItems<SendOutcome[]>((sink) => {
    const room = new WakeLatch();
    const stream = new SignalStream(dependencies, sink, room.set);
    // Whatever fails while it reads is what the stream ends with.
    readAll(requests, stream, room).then(
      () => stream.complete(),
      (error: unknown) => stream.stop(error),
    );
    return stream;
  }, context.signal);
  for await (const outcomes of answers) {
    yield create(StreamSignalsResponseSchema, { batch: batchResponse(outcomes, binary) });
  }
  // The client's deadline passed, or it left: the reason says which.
  context.signal.throwIfAborted();
}

async function readAll(
  requests: AsyncIterable<StreamSignalsRequest>,
  stream: SignalStream,
  room: WakeLatch,
): Promise<void> {
  for await (const { batch } of requests) {
    if (batch === undefined) continue;
    while (!stream.hasRoom && !stream.isOver) await room.next();
    if (stream.isOver) return;
    stream.take(batch);
  }
}
