import type { Client } from "@connectrpc/connect";
import type { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { OpenResources } from "../open-resources.js";
import type { Clock } from "../time/clock.js";
import type { ClientTransport } from "../transport/client-transport.js";
import type { OpenBatchChannel } from "./batch-channel.js";
import { connectBatchChannels } from "./connect-batch-channel.js";
import type { SendPipeline } from "./send-pipeline.js";
import { StreamSendPipeline } from "./stream-send-pipeline.js";
import { UnarySendPipeline } from "./unary-send-pipeline.js";

/** What the pipelines of one client share. */
export interface PipelineOptions {
  readonly client: Client<typeof SignalService>;
  readonly transport: ClientTransport;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly closeTimeoutMs: number;
}

/** Says how each session of a client delivers its batches: on a stream where the transport carries one. */
export function createPipelines(options: PipelineOptions): (open: OpenResources) => SendPipeline {
  const { client, transport, timeoutMs } = options;
  const unary = () => new UnarySendPipeline(client, timeoutMs);
  const openChannel = channelsOf(transport, client);
  if (openChannel === undefined) return unary;
  const support = { isRefused: false };
  const { afterTurn } = transport;
  return (open) => new StreamSendPipeline({ ...options, openChannel, open, support, afterTurn, fallback: unary() });
}

function channelsOf(
  { signalStreams, carriesRequestStreams = false }: ClientTransport,
  client: PipelineOptions["client"],
): OpenBatchChannel | undefined {
  if (signalStreams !== undefined) return signalStreams.sendBatches;
  return carriesRequestStreams ? connectBatchChannels(client) : undefined;
}
