import { create, type JsonValue, type Message } from "@bufbuild/protobuf";
import { type CoordinationSignal, CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import { type EventCase, eventMessage, identityFields, type SignalPlace } from "./signal-path.js";

/** What of a container is kept: all of it, or some keys. */
type KeyTree = "whole" | Map<string, KeyTree>;
/** What of a message is kept, by its fields' local names. */
type FieldTree = Map<string, KeyTree>;

/**
 * Makes what keeps of a signal only these places. What tells one signal from another always stays, and so does which event
 * it is: an event of which nothing is wanted is there, empty.
 */
export function compileReadMask(places: readonly SignalPlace[]): (signal: CoordinationSignal) => CoordinationSignal {
  const top: FieldTree = new Map();
  const events = new Map<EventCase, "whole" | FieldTree>();
  for (const { name, localName } of CoordinationSignalSchema.fields) {
    if (identityFields.has(name)) top.set(localName, "whole");
  }
  for (const { event, field, keys } of places) {
    if (event === undefined) {
      if (field !== undefined) addKeys(top, [field.localName, ...keys]);
      continue;
    }
    const tree = events.get(event) ?? new Map<string, KeyTree>();
    events.set(event, tree);
    if (field === undefined) events.set(event, "whole");
    else if (tree !== "whole") addKeys(tree, [field.localName, ...keys]);
  }
  return (signal) => {
    const masked = maskedMessage(signal, create(CoordinationSignalSchema), top);
    masked.event = maskedEvent(signal.event, events);
    return masked;
  };
}

function addKeys(tree: Map<string, KeyTree>, [key, ...rest]: readonly string[]): void {
  if (key === undefined) return;
  const below = tree.get(key);
  if (below === "whole") return;
  if (rest.length === 0) {
    tree.set(key, "whole");
    return;
  }
  const next = below ?? new Map<string, KeyTree>();
  tree.set(key, next);
  addKeys(next, rest);
}

function maskedEvent(
  event: CoordinationSignal["event"],
  events: ReadonlyMap<EventCase, "whole" | FieldTree>,
): CoordinationSignal["event"] {
  if (event.case === undefined) return event;
  const tree = events.get(event.case);
  if (tree === "whole") return event;
  const value = maskedMessage(event.value, create(eventMessage(event.case)), tree ?? new Map());
  // The case and the message of one and the same field.
  return { case: event.case, value } as CoordinationSignal["event"];
}

function maskedMessage<M extends Message>(message: Message, masked: M, tree: FieldTree): M {
  for (const [property, below] of tree) {
    const value: unknown = Reflect.get(message, property);
    if (value !== undefined) Reflect.set(masked, property, maskedJson(value as JsonValue, below));
  }
  return masked;
}

function maskedJson(json: JsonValue, tree: KeyTree): JsonValue {
  if (tree === "whole") return json;
  if (Array.isArray(json)) return json.map((item) => maskedJson(item, tree));
  if (json === null || typeof json !== "object") return null;
  const kept = Object.entries(json).flatMap(([key, value]) => {
    const below = tree.get(key);
    return below === undefined ? [] : [[key, maskedJson(value, below)] as const];
  });
  return Object.fromEntries(kept);
}
