import { create, type DescField, type JsonObject, type JsonValue, type Message } from "@bufbuild/protobuf";
import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import { isStructField } from "../expression/expression-type.js";
import type { SignalPlace } from "./signal-path.js";

/*
 * Signals are shared by all readers, so nothing here changes one: what is to be different is copied, along the way to it and
 * no further, and where nothing is different the same object comes back.
 */

/** What becomes of a value; undefined is no value, before and after. The same value back means that nothing changes. */
export type ValueChange = (value: unknown) => unknown;

/** Whether a change may make what is not there, or only change what is. */
export type Reach = "existing" | "missing";

/** A signal with the value at a place changed; the same signal when nothing is different. */
export function changePlace(
  signal: CoordinationSignal,
  place: SignalPlace,
  reach: Reach,
  change: ValueChange,
): CoordinationSignal {
  const { event, field } = place;
  if (event === undefined) return field === undefined ? signal : changeField(signal, field, place, reach, change);
  if (signal.event.case !== event) return signal;
  const before: Message = signal.event.value;
  const after = field === undefined ? change(before) : changeField(before, field, place, reach, change);
  return after === before ? signal : copyWith(signal, "event", { case: event, value: after });
}

/** The value that a field of a message has when it is not set; undefined where that is no value. */
export function unsetValue(field: DescField): unknown {
  return Reflect.get(create(field.parent), field.localName);
}

/** A shallow copy with one property different; undefined takes it away. */
function copyWith<M extends Message>(message: M, property: string, value: unknown): M {
  const copy: M = Object.assign(Object.create(Object.getPrototypeOf(message)), message);
  if (value === undefined) Reflect.deleteProperty(copy, property);
  else Reflect.set(copy, property, value);
  return copy;
}

function changeField<M extends Message>(
  message: M,
  field: DescField,
  { keys }: SignalPlace,
  reach: Reach,
  change: ValueChange,
): M {
  const before: unknown = Reflect.get(message, field.localName);
  const after = keys.length === 0 ? change(before) : changeBelow(before, field, keys, reach, change);
  return after === before ? message : copyWith(message, field.localName, after ?? unsetValue(field));
}

function changeBelow(
  container: unknown,
  field: DescField,
  keys: readonly string[],
  reach: Reach,
  change: ValueChange,
): unknown {
  const json = container as JsonValue | undefined;
  if (!isStructField(field) || json !== undefined) return changeJson(json, keys, reach, change);
  // A Struct that is not there begins only if there will be something in it.
  const made = reach === "missing" ? changeJson({}, keys, reach, change) : undefined;
  return made !== undefined && Object.keys(made as JsonObject).length > 0 ? made : undefined;
}

/** Lists are passed through: what is asked for a key happens to it in every object of a list. */
function changeJson(
  json: JsonValue | undefined,
  keys: readonly string[],
  reach: Reach,
  change: ValueChange,
): JsonValue | undefined {
  const [key, ...rest] = keys;
  if (key === undefined) return change(json) as JsonValue | undefined;
  if (Array.isArray(json)) {
    const items = json.map((item) => changeJson(item, keys, reach, change) ?? null);
    return items.every((item, index) => item === json[index]) ? json : items;
  }
  if (json === null || typeof json !== "object") return json;
  const isThere = Object.hasOwn(json, key);
  if (!isThere && reach === "existing") return json;
  const before = isThere ? json[key] : undefined;
  const below = rest.length > 0 && before === undefined ? {} : before;
  const after = changeJson(below, rest, reach, change);
  return after === before ? json : withKey(json, key, after);
}

function withKey(json: JsonObject, key: string, value: JsonValue | undefined): JsonObject {
  // A computed key is one of the object's own, whatever its name.
  if (value !== undefined) return { ...json, [key]: value };
  return Object.fromEntries(Object.entries(json).filter(([name]) => name !== key));
}
