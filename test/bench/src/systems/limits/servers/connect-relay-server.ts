/** A relay on connect-node. Run as a program. */
import { createServer } from "node:http2";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import { relayService } from "../connect-relay.js";
import { maxRelayMessageBytes, relayWindowBytes } from "../relay.js";
import { listenAndTell } from "./listen-and-tell.js";
import { RelayLog } from "./relay-log.js";
import { createSendAnswerer } from "./send-answer.js";

interface Bytes {
  readonly value: Uint8Array;
}

const log = new RelayLog<Uint8Array>();
const answerSend = createSendAnswerer();

const server = createServer(
  { maxSessionMemory: 256, settings: { initialWindowSize: relayWindowBytes, maxConcurrentStreams: 20_000 } },
  connectNodeAdapter({ routes, readMaxBytes: maxRelayMessageBytes, acceptCompression: [] }),
);
server.on("session", (session) => session.setLocalWindowSize(relayWindowBytes));
listenAndTell(server);

function routes(router: ConnectRouter): void {
  router.service(relayService, { publish, publishOne, subscribe });
  router.service(SignalService, { sendSignal: answerSend });
}

async function* publish(signals: AsyncIterable<Bytes>) {
  for await (const { value } of signals) {
    log.append(value);
    yield { value: log.size };
  }
}

function publishOne({ value }: Bytes) {
  log.append(value);
  return { value: log.size };
}

async function* subscribe(_request: Bytes, { signal: left }: HandlerContext) {
  let waiting: Uint8Array[] = [];
  let wake: (() => void) | undefined;
  const remove = log.add({
    take(signals) {
      for (const signal of signals) waiting.push(signal);
      wake?.();
    },
  });
  left.addEventListener("abort", () => {
    remove();
    wake?.();
  });
  yield { value: new Uint8Array() };
  while (!left.aborted) {
    const signals = waiting;
    waiting = [];
    for (const value of signals) yield { value };
    if (waiting.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
}
