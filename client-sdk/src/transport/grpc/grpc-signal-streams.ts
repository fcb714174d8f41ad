import { setImmediate } from "node:timers/promises";
import type { DescMethod } from "@bufbuild/protobuf";
import { createMethodUrl } from "@connectrpc/connect/protocol";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { SessionManager } from "../session-manager.js";
import type { SignalStreams } from "../signal-streams.js";
import { openGrpcBatchChannel } from "./grpc-batch-channel.js";
import { readGrpcHistory } from "./grpc-history.js";
import { GrpcItemStream } from "./grpc-item-stream.js";

/** Opens the streams of signals, and reads pages of history, as bytes on a connection. */
export function createGrpcSignalStreams(baseUrl: string, connection: SessionManager): SignalStreams {
  const targetOf = (method: DescMethod) => ({
    connection,
    path: new URL(createMethodUrl(baseUrl, method)).pathname,
  });
  const subscribe = targetOf(SignalService.method.subscribe);
  const sendBatches = targetOf(SignalService.method.streamSignals);
  const history = targetOf(SignalService.method.getSignalHistory);
  return {
    nextTurn: () => setImmediate(),
    readHistory: async (request, options) => readGrpcHistory(history, request, options),
    sendBatches: (_, events) => openGrpcBatchChannel(sendBatches, events),
    subscribe: (request, { onFailed }) => new GrpcItemStream(subscribe, request, onFailed),
  };
}
