import { toBinary } from "@bufbuild/protobuf";
import { type SignalFilter, SignalFilterSchema } from "@coordination-signals/proto/coordination/v1/signal";
import { maxKeptFilterBytes } from "../model/limits.js";

/** A filter as it is kept with what its subscription was handed, in base64; empty for none, undefined for one that is too large. */
export function keptFilter(filter: SignalFilter | undefined): string | undefined {
  const bytes = filter === undefined ? new Uint8Array() : toBinary(SignalFilterSchema, filter);
  return bytes.length > maxKeptFilterBytes ? undefined : Buffer.from(bytes).toString("base64");
}
