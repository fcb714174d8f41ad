/** A relay on @grpc/grpc-js. Run as a program. */
import { once } from "node:events";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type SendSignalRequest,
  SendSignalRequestSchema,
  type SendSignalResponse,
  SendSignalResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerWritableStream,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { relayDefinition } from "../grpc-js-relay.js";
import { relayPaths } from "../relay.js";
import { tell } from "./listen-and-tell.js";
import { RelayLog } from "./relay-log.js";
import { createSendAnswerer } from "./send-answer.js";

const empty = Buffer.alloc(0);
const countBytes = 4;

const log = new RelayLog<Buffer>();
const answerSend = createSendAnswerer();

const server = new Server({ "grpc.max_concurrent_streams": 20_000 });
server.addService(relayDefinition, { publish, publishOne, subscribe });
server.addService(
  {
    sendSignal: {
      path: relayPaths.sendSignal,
      requestStream: false,
      responseStream: false,
      requestDeserialize: (bytes: Buffer) => fromBinary(SendSignalRequestSchema, bytes),
      requestSerialize: (message: SendSignalRequest) => Buffer.from(toBinary(SendSignalRequestSchema, message)),
      responseDeserialize: (bytes: Buffer) => fromBinary(SendSignalResponseSchema, bytes),
      responseSerialize: (message: SendSignalResponse) => Buffer.from(toBinary(SendSignalResponseSchema, message)),
    },
  },
  {
    sendSignal(call: { readonly request: SendSignalRequest }, callback: sendUnaryData<SendSignalResponse>) {
      callback(null, answerSend(call.request));
    },
  },
);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  tell(port);
});

function publish(call: ServerDuplexStream<Buffer, Buffer>): void {
  let isScheduled = false;
  const acknowledge = () => {
    isScheduled = false;
    const count = Buffer.allocUnsafe(countBytes);
    count.writeUInt32BE(log.size);
    call.write(count);
  };
  call.on("data", (signal: Buffer) => {
    log.append(signal);
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(acknowledge);
  });
  call.on("end", () => call.end());
}

function publishOne(call: { readonly request: Buffer }, callback: sendUnaryData<Buffer>): void {
  log.append(call.request);
  callback(null, empty);
}

function subscribe(call: ServerWritableStream<Buffer, Buffer>): void {
  call.write(empty);
  const remove = log.add({
    take(signals) {
      for (const signal of signals) call.write(signal);
    },
  });
  once(call, "cancelled").then(remove, remove);
}
