import { create } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import {
  type SignalService,
  type StreamSignalsRequest,
  StreamSignalsRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { BatchChannelEvents, OpenBatchChannel } from "./batch-channel.js";
import { batchAnswerFrom } from "./batch-results.js";
import { RequestFeed } from "./request-feed.js";
import type { OutgoingBatch } from "./send-pipeline.js";

/** Opens channels through a Connect client: batches are messages that anybody on their way can read. */
export function connectBatchChannels(client: Client<typeof SignalService>): OpenBatchChannel {
  return (contextValues, events) => {
    const feed = new RequestFeed<StreamSignalsRequest>();
    const abort = new AbortController();
    const { signal } = abort;
    // Switches off a default timeout of the transport: each batch has its own.
    const answers = client.streamSignals(feed, { signal, timeoutMs: 0, contextValues });
    void readAnswers(answers, signal, events);
    return {
      send: (batch) => feed.push(readableRequest(batch)),
      finish: () => feed.end(),
      cancel: (error) => abort.abort(error),
    };
  };
}

/** Never rejects: what ends the stream is told. */
async function readAnswers(
  answers: ReturnType<Client<typeof SignalService>["streamSignals"]>,
  signal: AbortSignal,
  { onAnswer, onEnd }: BatchChannelEvents,
): Promise<void> {
  let failure: unknown;
  try {
    for await (const { batch } of answers) onAnswer(batchAnswerFrom(batch?.results ?? []));
  } catch (thrown) {
    failure = signal.aborted ? signal.reason : thrown;
  }
  onEnd(failure);
}

function readableRequest({ sends, atomic }: OutgoingBatch): StreamSignalsRequest {
  const requests = sends.map(({ request }) => request);
  return create(StreamSignalsRequestSchema, { batch: { requests, atomic } });
}
