import { type DescField, type DescMessage, getOption, type Message } from "@bufbuild/protobuf";
import { field as fieldRules, Ignore } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

/*
 * A field that a server does not know is lost on a reader that skips it: what a client meant by it does not happen, and a
 * filter matches more than it should. Each message type is looked through once for the fields that can hold messages.
 */

/** A field of a request that the contract of this server does not have. */
export interface UnknownField {
  /** The fields that lead to it from the request, none when it stands in the request itself. */
  readonly path: readonly string[];
  readonly number: number;
  readonly typeName: string;
}

interface Holder {
  readonly field: DescField;
  readonly message: DescMessage;
}

/** Finds such fields; keeps what it has learnt of the message types it was asked about. */
export class UnknownFieldFinder {
  readonly #holdersByType = new Map<DescMessage, readonly Holder[]>();

  /** Finds the first one in a message and the messages in it; not in those whose rules are checked one by one. */
  find(schema: DescMessage, message: Message): UnknownField | undefined {
    const [own] = message.$unknown ?? [];
    if (own !== undefined) return { path: [], number: own.no, typeName: schema.typeName };
    for (const { field, message: heldSchema } of this.#holdersOf(schema)) {
      for (const held of messagesIn(message, field)) {
        const found = this.find(heldSchema, held);
        if (found !== undefined) return { ...found, path: [field.name, ...found.path] };
      }
    }
    return undefined;
  }

  #holdersOf(schema: DescMessage): readonly Holder[] {
    const known = this.#holdersByType.get(schema);
    if (known !== undefined) return known;
    const holders = schema.fields.flatMap((field) => {
      const { message } = field;
      // A Struct is read as a JSON object, which has no room for such fields.
      if (message === undefined || message.typeName === "google.protobuf.Struct" || isSkipped(field)) return [];
      return [{ field, message }];
    });
    this.#holdersByType.set(schema, holders);
    return holders;
  }
}

function isSkipped(field: DescField): boolean {
  const { type } = getOption(field, fieldRules);
  return type.case === "repeated" && type.value.items?.ignore === Ignore.ALWAYS;
}

function messagesIn(message: Message, field: DescField): readonly Message[] {
  const value = heldValue(message, field);
  if (value === undefined) return [];
  switch (field.fieldKind) {
    case "list":
      return value as readonly Message[];
    case "map":
      return Object.values(value);
    default:
      return [value as Message];
  }
}

/** The value as generated code keeps it: members of a oneof share one property. */
function heldValue(message: Message, field: DescField): object | undefined {
  const properties = message as unknown as Readonly<Record<string, object | undefined>>;
  if (field.oneof === undefined) return properties[field.localName];
  const chosen = properties[field.oneof.localName] as { readonly case?: string; readonly value?: object } | undefined;
  return chosen?.case === field.localName ? chosen.value : undefined;
}
