import type { MethodDefinition } from "@grpc/grpc-js";
import { relayPaths } from "./relay.js";

type RelayMethod = MethodDefinition<Buffer, Buffer>;

const same = (bytes: Buffer): Buffer => bytes;

function method(path: string, streams: Pick<RelayMethod, "requestStream" | "responseStream">): RelayMethod {
  return {
    path,
    ...streams,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

/** The relay's calls for @grpc/grpc-js: messages are bytes. */
export const relayDefinition = {
  publish: method(relayPaths.publish, { requestStream: true, responseStream: true }),
  publishOne: method(relayPaths.publishOne, { requestStream: false, responseStream: false }),
  subscribe: method(relayPaths.subscribe, { requestStream: false, responseStream: true }),
};
