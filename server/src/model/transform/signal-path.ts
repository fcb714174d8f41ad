import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { type CoordinationSignal, CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import { isStructField } from "../expression/expression-type.js";
import { PathError } from "./path-error.js";

/** The events by the name of their case. */
export type EventCase = NonNullable<CoordinationSignal["event"]["case"]>;

/** A place in a signal. */
export interface SignalPlace {
  /** The event that must be there for the place to exist; undefined for a field of every signal. */
  readonly event: EventCase | undefined;
  /** The field; undefined for the event as a whole. */
  readonly field: DescField | undefined;
  /** Keys below a Struct, or one below a map; empty for the field as a whole. */
  readonly keys: readonly string[];
}

/** What tells one signal from another, and the order in which they come, stays as it is, whatever a client asks for. */
export const identityFields: ReadonlySet<string> = new Set([
  "signal_id",
  "coordination_id",
  "sequence",
  "timestamp",
  "priority",
]);

const maxListedFields = 20;
const { fields, oneofs } = CoordinationSignalSchema;
const eventFields = oneofs.flatMap((oneof) => oneof.fields).filter(isMessageField);

/**
 * Finds the places that a path names: names of fields and keys joined by dots, a key in backticks where it has dots itself.
 * A path may leave out the event: `payload.token` is `inter_agent_message.payload.token`, and `agent_id` is that of every
 * event which has one. Throws PathError.
 */
export function placesOf(path: string): readonly SignalPlace[] {
  const [first = "", ...rest] = splitPath(path);
  const event = eventFields.find((field) => field.name === first);
  if (event !== undefined) return [placeInEvent(event, rest)];
  const field = fields.find((candidate) => candidate.name === first);
  if (field !== undefined) return [{ event: undefined, field, keys: checkedKeys(field, rest) }];
  const inEvents = eventFields.filter(({ message }) => message.fields.some(({ name }) => name === first));
  if (inEvents.length === 0) throw unknownField("a signal", CoordinationSignalSchema, first);
  return inEvents.map((candidate) => placeInEvent(candidate, [first, ...rest]));
}

function placeInEvent(event: MessageField, [name, ...keys]: readonly string[]): SignalPlace {
  const eventCase = event.localName as EventCase;
  if (name === undefined) return { event: eventCase, field: undefined, keys: [] };
  const field = event.message.fields.find((candidate) => candidate.name === name);
  if (field === undefined) throw unknownField(event.name, event.message, name);
  return { event: eventCase, field, keys: checkedKeys(field, keys) };
}

function checkedKeys(field: DescField, keys: readonly string[]): readonly string[] {
  const most = isStructField(field) ? Number.POSITIVE_INFINITY : field.fieldKind === "map" ? 1 : 0;
  if (keys.length > most) throw new PathError(`${field.name} has no part ${JSON.stringify(keys.at(most))}`);
  return keys;
}

function splitPath(path: string): readonly string[] {
  const segments: string[] = [];
  let rest = path;
  for (;;) {
    const end = rest.startsWith("`") ? rest.indexOf("`", 1) : -1;
    if (rest.startsWith("`") && end < 0) throw new PathError("a backtick is not closed");
    const dot = rest.indexOf(".", end + 1);
    const segment = end < 0 ? rest.slice(0, dot < 0 ? rest.length : dot) : rest.slice(1, end);
    if (segment === "") throw new PathError("it has an empty part");
    segments.push(segment);
    const after = rest.slice(end < 0 ? segment.length : end + 1);
    if (after === "") return segments;
    if (!after.startsWith(".")) throw new PathError("a dot is missing after a backtick");
    rest = after.slice(1);
  }
}

type MessageField = DescField & { readonly fieldKind: "message" };

/** The message of an event. */
export function eventMessage(event: EventCase): DescMessage {
  const field = eventFields.find(({ localName }) => localName === event);
  if (field === undefined) throw new PathError(`${JSON.stringify(event)} is no event`);
  return field.message;
}

function isMessageField(field: DescField): field is MessageField {
  return field.fieldKind === "message";
}

function unknownField(where: string, desc: DescMessage, name: string): PathError {
  const known = desc.fields.slice(0, maxListedFields).map((field) => field.name);
  return new PathError(`${where} has no field ${JSON.stringify(name)}, it has ${known.join(", ")}`);
}
