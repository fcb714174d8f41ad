import { create } from "@bufbuild/protobuf";
import {
  type FieldTransform,
  FieldTransformSchema,
  type SignalTransform,
  SignalTransformSchema,
} from "@coordination-signals/proto/coordination/v1/signal";
import { invalidOption } from "../errors/invalid-option.js";
import { assertKnownOptions } from "./signal-filter.js";

/**
 * What becomes of signals before they are handed out; what is stored stays as it is. A path is made of the contract's field
 * names and keys joined by dots, for example `inter_agent_message.payload.token`, of which the event's name may be left out.
 * `signal_id`, `coordination_id`, `sequence`, `timestamp`, `priority` and which event it is always stay.
 */
export interface SignalTransformOptions {
  /** Only these paths. Default: all. At most 100. */
  readonly readMask?: readonly string[] | undefined;
  /** What becomes of single fields, in this order, after the mask. At most 32. */
  readonly fields?: readonly FieldTransformOptions[] | undefined;
}

/** What becomes of one field. */
export type FieldTransformOptions =
  /** The field is emptied; a key is taken away. */
  | { readonly path: string; readonly remove: true }
  /** A text takes the value's place: the given one, or `[redacted]`. */
  | { readonly path: string; readonly redact: string | true }
  /** The value of a CEL expression over `signal` takes its place. */
  | { readonly path: string; readonly set: string };

const actions = ["remove", "redact", "set"] as const;

/** Makes the contract's transform. Throws InvalidRequestError for options that cannot be understood. */
export function signalTransformFrom(options: SignalTransformOptions | undefined): SignalTransform | undefined {
  if (options === undefined) return undefined;
  assertKnownOptions(options, ["readMask", "fields"]);
  const { readMask, fields = [] } = options;
  if (readMask?.length === 0) throw invalidOption("transform.readMask is empty, leave it out to read all fields");
  return create(SignalTransformSchema, {
    fields: fields.map(fieldTransformFrom),
    ...(readMask && { readMask: { paths: [...readMask] } }),
  });
}

function fieldTransformFrom(field: FieldTransformOptions): FieldTransform {
  assertKnownOptions(field, ["path", ...actions]);
  if (actions.filter((action) => action in field).length !== 1) {
    throw invalidOption(`transform of ${JSON.stringify(field.path)} must have one of ${actions.join(", ")}`);
  }
  return create(FieldTransformSchema, { path: field.path, action: actionFrom(field) });
}

function actionFrom(field: FieldTransformOptions): FieldTransform["action"] {
  if ("remove" in field) return { case: "remove", value: field.remove };
  if ("set" in field) return { case: "set", value: field.set };
  return { case: "redact", value: field.redact === true ? "" : field.redact };
}
