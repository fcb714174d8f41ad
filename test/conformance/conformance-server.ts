/* The port under test: reads from standard input what the suite wants of it, tells where it listens, and ends on SIGTERM. */
import { readFile } from "node:fs/promises";
import { create, createFileRegistry, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { HealthState } from "../../server/src/wire/health-state.js";
import { openPort } from "../../server/src/wire/port.js";
import { defaultPortLimits } from "../../server/src/wire/port-limits.js";
import { registerConformance } from "./conformance-service.js";

const lengthBytes = 4;
const [, , image = ""] = process.argv;

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, await readFile(image)));
const wanted = fromBinary(message("ServerCompatRequest"), await readRequest()) as unknown as {
  readonly messageReceiveLimit: number;
};
const port = await openPort({
  host: "127.0.0.1",
  port: 0,
  routes: (router) => registerConformance(router, registry),
  services: [],
  version: "conformance",
  isReady: () => true,
  renderMetrics: async () => ({ contentType: "text/plain", body: "" }),
  health: new HealthState([]),
  messageTypes: registry,
  limits: {
    ...defaultPortLimits,
    ...(wanted.messageReceiveLimit > 0 && { maxRequestBytes: wanted.messageReceiveLimit }),
  },
  logger: { debug: ignore, info: ignore, warn: tell, error: tell },
});
const { host, port: number } = port.address;
const response = message("ServerCompatResponse");
const answer = toBinary(response, create(response, { host, port: number } as never));
const length = Buffer.alloc(lengthBytes);
length.writeUInt32BE(answer.byteLength);
process.stdout.write(Buffer.concat([length, answer]));
process.once("SIGTERM", () => void port.drain({ graceMs: 0 }));

async function readRequest(): Promise<Uint8Array> {
  let received = Buffer.alloc(0);
  for await (const chunk of process.stdin) {
    received = Buffer.concat([received, chunk]);
    if (received.byteLength < lengthBytes) continue;
    const end = lengthBytes + received.readUInt32BE();
    if (received.byteLength >= end) return received.subarray(lengthBytes, end);
  }
  throw new Error("the suite has not said what it wants");
}

function message(name: string): DescMessage {
  const desc = registry.getMessage(`connectrpc.conformance.v1.${name}`);
  if (desc === undefined) throw new Error(`the suite's contract has no message ${name}`);
  return desc;
}

function tell(fields: object, text: string): void {
  console.error(text, fields);
}

function ignore(): void {}
