/** A relay on bare node:http2: what the platform allows. Run as a program. */
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  SendSignalRequestSchema,
  SendSignalResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { FrameReader, frameOf } from "../grpc-frame.js";
import { maxRelayMessageBytes, relayPaths, relayWindowBytes } from "../relay.js";
import { listenAndTell } from "./listen-and-tell.js";
import { RelayLog, type RelayReader } from "./relay-log.js";
import { createSendAnswerer } from "./send-answer.js";

const responseHeaders = { ":status": 200, "content-type": "application/grpc" };
const trailers = { "grpc-status": "0" };
const empty = frameOf(new Uint8Array());
const countBytes = 4;

const log = new RelayLog<Buffer>();
const answerSend = createSendAnswerer();

const handlers: Readonly<Record<string, (stream: ServerHttp2Stream) => void>> = {
  [relayPaths.publish]: publish,
  [relayPaths.publishOne]: (stream) => answerUnary(stream, publishOne),
  [relayPaths.subscribe]: subscribe,
  [relayPaths.sendSignal]: (stream) => answerUnary(stream, sendSignal),
};

const server = createServer({
  maxSessionMemory: 256,
  settings: { initialWindowSize: relayWindowBytes, maxConcurrentStreams: 20_000 },
});
server.on("session", (session) => session.setLocalWindowSize(relayWindowBytes));
server.on("stream", (stream, headers: IncomingHttpHeaders) => {
  stream.on("error", () => stream.destroy());
  const handle = handlers[headers[":path"] ?? ""];
  if (handle === undefined) stream.respond({ ":status": 404 }, { endStream: true });
  else handle(stream);
});
listenAndTell(server);

function publish(stream: ServerHttp2Stream): void {
  stream.respond(responseHeaders);
  const reader = new FrameReader(maxRelayMessageBytes, (message) => log.append(message));
  let isScheduled = false;
  const acknowledge = () => {
    isScheduled = false;
    if (stream.destroyed) return;
    const count = Buffer.allocUnsafe(countBytes);
    count.writeUInt32BE(log.size);
    stream.write(frameOf(count));
  };
  stream.on("data", (chunk: Buffer) => {
    reader.read(chunk);
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(acknowledge);
  });
  stream.on("end", () => stream.end());
}

function subscribe(stream: ServerHttp2Stream): void {
  stream.respond(responseHeaders);
  stream.write(empty);
  const remove = log.add(writerTo(stream));
  stream.once("close", remove);
  stream.resume();
}

let lastSignals: readonly Buffer[] | undefined;
let lastFrames = Buffer.alloc(0);

/** One write for all frames of a turn, made once for all readers. */
function writerTo(stream: ServerHttp2Stream): RelayReader<Buffer> {
  return {
    take(signals) {
      if (signals !== lastSignals) {
        lastSignals = signals;
        lastFrames = Buffer.concat(signals.map(frameOf));
      }
      if (!stream.destroyed) stream.write(lastFrames);
    },
  };
}

function answerUnary(stream: ServerHttp2Stream, answer: (message: Buffer) => Buffer): void {
  const reader = new FrameReader(maxRelayMessageBytes, (message) => {
    stream.respond(responseHeaders, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers(trailers));
    stream.end(answer(message));
  });
  stream.on("data", (chunk: Buffer) => reader.read(chunk));
}

function publishOne(message: Buffer): Buffer {
  log.append(message);
  return empty;
}

function sendSignal(message: Buffer): Buffer {
  const answer = answerSend(fromBinary(SendSignalRequestSchema, message));
  return frameOf(toBinary(SendSignalResponseSchema, answer));
}
