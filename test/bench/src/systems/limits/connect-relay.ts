import { create, createFileRegistry } from "@bufbuild/protobuf";
import type { GenService } from "@bufbuild/protobuf/codegenv2";
import {
  type BytesValueSchema,
  FileDescriptorProtoSchema,
  file_google_protobuf_wrappers,
  type UInt32ValueSchema,
} from "@bufbuild/protobuf/wkt";

const bytesValue = ".google.protobuf.BytesValue";
const countValue = ".google.protobuf.UInt32Value";
const serviceName = "bench.v1.Relay";

const relayFile = create(FileDescriptorProtoSchema, {
  name: "bench/v1/relay.proto",
  package: "bench.v1",
  syntax: "proto3",
  dependency: [file_google_protobuf_wrappers.proto.name],
  service: [
    {
      name: "Relay",
      method: [
        {
          name: "Publish",
          inputType: bytesValue,
          outputType: countValue,
          clientStreaming: true,
          serverStreaming: true,
        },
        { name: "PublishOne", inputType: bytesValue, outputType: countValue },
        { name: "Subscribe", inputType: bytesValue, outputType: bytesValue, serverStreaming: true },
      ],
    },
  ],
});

type Bytes = typeof BytesValueSchema;
type Count = typeof UInt32ValueSchema;
type Relay = GenService<{
  publish: { readonly methodKind: "bidi_streaming"; readonly input: Bytes; readonly output: Count };
  publishOne: { readonly methodKind: "unary"; readonly input: Bytes; readonly output: Count };
  subscribe: { readonly methodKind: "server_streaming"; readonly input: Bytes; readonly output: Bytes };
}>;

/** The relay's calls for Connect: messages are bytes in the smallest envelope that protobuf has. */
export const relayService = findRelay();

function findRelay(): Relay {
  const registry = createFileRegistry(relayFile, (name) =>
    name === file_google_protobuf_wrappers.proto.name ? file_google_protobuf_wrappers : undefined,
  );
  const service = registry.getService(serviceName);
  if (service === undefined) throw new Error(`${serviceName} is not in its own file`);
  return service as Relay;
}
