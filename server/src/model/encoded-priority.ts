import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { CoordinationSignalSchema, Priority } from "@coordination-signals/proto/coordination/v1/signal";

const priorityField = CoordinationSignalSchema.field.priority.number;

/** The priority in an encoded signal, at a fraction of what decoding all of it takes; it stands near the beginning. */
export function encodedPriority(bytes: Uint8Array): Priority {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === priorityField && wireType === WireType.Varint) return reader.int32();
    reader.skip(wireType, field);
  }
  return Priority.UNSPECIFIED;
}
