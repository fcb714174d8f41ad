/** Prints options of descriptors, custom ones included, in the text format of protocol buffers. */
import { getExtension } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";

/**
 * @param {import("@bufbuild/protobuf").DescMessage} schema which options they are, for example FieldOptions
 * @param {import("@bufbuild/protobuf").Message | undefined} options undefined when there are none
 * @param {import("@bufbuild/protobuf").Registry} registry where custom options are defined
 * @returns {string[]} assignments such as `deprecated = true` or `(buf.validate.predefined) = { ... }`
 */
export function assignments(schema, options, registry) {
  if (options === undefined) return [];
  return [...standardOptions(schema, options), ...customOptions(schema, options, registry)];
}

/** A text as a literal of the language; JSON's escapes are among its escapes. */
export function quoted(text) {
  return JSON.stringify(text);
}

function standardOptions(schema, options) {
  const message = reflect(schema, options);
  return setFields(message).flatMap((field) =>
    valuesOf(field, message.get(field)).map((value) => `${field.name} = ${valueText(field, value)}`),
  );
}

function customOptions(schema, options, registry) {
  const numbers = new Set((options.$unknown ?? []).map(({ no }) => no));
  return [...numbers].flatMap((number) => {
    const extension = registry.getExtensionFor(schema, number);
    if (extension === undefined) throw new Error(`option ${number} of ${schema.typeName} is not defined`);
    const values = valuesOf(extension, getExtension(options, extension));
    return values.map((value) => `(${extension.typeName}) = ${valueText(extension, value)}`);
  });
}

function messageText(message) {
  const fields = setFields(message).flatMap((field) =>
    valuesOf(field, message.get(field)).map((value) => `${field.name}: ${valueText(field, value)}`),
  );
  return `{ ${fields.join(" ")} }`;
}

function setFields(message) {
  return message.desc.fields.filter((field) => message.isSet(field));
}

function valuesOf(field, value) {
  if (field.fieldKind === "map") throw new Error(`the printer does not know maps in options (${field.name})`);
  return field.fieldKind === "list" ? [...value] : [value];
}

function valueText(field, value) {
  if (field.enum !== undefined) return field.enum.value[value]?.name ?? `${value}`;
  if (field.message !== undefined) return messageText("desc" in value ? value : reflect(field.message, value));
  if (value instanceof Uint8Array) throw new Error(`the printer does not know bytes in options (${field.name})`);
  return typeof value === "string" ? quoted(value) : `${value}`;
}
