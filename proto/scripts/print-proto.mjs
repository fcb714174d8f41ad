/**
 * Prints a file descriptor back as `.proto` text: the way to a `.proto` file of which only generated code is published.
 * Comments are lost, everything else is kept: compiling the text yields the same descriptor.
 *
 * It knows what proto2 files of messages, enums, options and extensions hold; for anything else (services, maps, groups,
 * other syntaxes) it throws instead of printing half of it.
 */
import { createRegistry, isFieldSet } from "@bufbuild/protobuf";
import {
  EnumOptionsSchema,
  EnumValueOptionsSchema,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  FieldOptionsSchema,
  FileOptionsSchema,
  MessageOptionsSchema,
  OneofOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { assignments, quoted } from "./print-options.mjs";

/** One past the greatest field number. */
const FIELD_NUMBER_END = 536_870_912;

/**
 * @param {import("@bufbuild/protobuf").DescFile} file a file whose options use only extensions that it defines itself
 * @returns {string} the file as text, compact; a formatter makes it pleasant
 */
export function printProto(file) {
  const { proto } = file;
  assertKnown(proto.syntax === "" || proto.syntax === "proto2", `syntax ${proto.syntax}`);
  assertKnown(proto.service.length === 0, "services");
  const registry = createRegistry(file);
  const sections = [
    'syntax = "proto2";',
    `package ${proto.package};`,
    lines(proto.dependency.map((path) => `import ${quoted(path)};`)),
    lines(optionLines(FileOptionsSchema, proto.options, registry)),
    ...proto.enumType.map((type) => printEnum(type, registry)),
    ...proto.messageType.map((type) => printMessage(type, registry)),
    ...printExtensions(proto.extension, registry),
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

function printMessage(message, registry) {
  assertKnown(message.options?.mapEntry !== true, "maps");
  return block(`message ${message.name}`, [
    ...optionLines(MessageOptionsSchema, message.options, registry),
    ...printReserved(message.reservedRange.map(exclusiveRange), message.reservedName),
    ...message.extensionRange.map((range) => `extensions ${exclusiveRange(range)};`),
    ...printFields(message, registry),
    ...message.nestedType.map((type) => printMessage(type, registry)),
    ...message.enumType.map((type) => printEnum(type, registry)),
    ...printExtensions(message.extension, registry),
  ]);
}

/** A oneof stands where its first field stands, with all its fields. */
function printFields(message, registry) {
  const printed = new Set();
  return message.field.flatMap((field) => {
    if (!isInOneof(field)) return [printField(field, registry, labelOf(field))];
    if (printed.has(field.oneofIndex)) return [];
    printed.add(field.oneofIndex);
    const members = message.field.filter((other) => isInOneof(other) && other.oneofIndex === field.oneofIndex);
    return [printOneof(message.oneofDecl[field.oneofIndex], members, registry)];
  });
}

function printOneof(oneof, members, registry) {
  return block(`oneof ${oneof.name}`, [
    ...optionLines(OneofOptionsSchema, oneof.options, registry),
    ...members.map((field) => printField(field, registry, "")),
  ]);
}

function printField(field, registry, label) {
  assertKnown(!isSet(field, "defaultValue"), "default values");
  const options = assignments(FieldOptionsSchema, field.options, registry);
  return `${label}${typeOf(field)} ${field.name} = ${field.number}${inBrackets(options)};`;
}

function printExtensions(extensions, registry) {
  const extendees = new Set(extensions.map(({ extendee }) => extendee));
  return [...extendees].map((extendee) => {
    const fields = extensions.filter((field) => field.extendee === extendee);
    return block(
      `extend ${extendee}`,
      fields.map((field) => printField(field, registry, labelOf(field))),
    );
  });
}

function printEnum(type, registry) {
  return block(`enum ${type.name}`, [
    ...optionLines(EnumOptionsSchema, type.options, registry),
    ...printReserved(type.reservedRange.map(inclusiveRange), type.reservedName),
    ...type.value.map((value) => {
      const options = assignments(EnumValueOptionsSchema, value.options, registry);
      return `${value.name} = ${value.number}${inBrackets(options)};`;
    }),
  ]);
}

function optionLines(schema, options, registry) {
  return assignments(schema, options, registry).map((assignment) => `option ${assignment};`);
}

function printReserved(ranges, names) {
  return [ranges, names.map(quoted)].filter((list) => list.length > 0).map((list) => `reserved ${list.join(", ")};`);
}

function typeOf({ type, typeName }) {
  assertKnown(type !== FieldDescriptorProto_Type.GROUP, "groups");
  return typeName === "" ? FieldDescriptorProto_Type[type].toLowerCase() : typeName;
}

function labelOf({ label }) {
  return `${FieldDescriptorProto_Label[label].toLowerCase()} `;
}

function isInOneof(field) {
  return isSet(field, "oneofIndex");
}

function isSet(field, name) {
  return isFieldSet(field, FieldDescriptorProtoSchema.field[name]);
}

/** Ranges of message descriptors end one past their last number, those of enums at their last value. */
function exclusiveRange({ start, end }) {
  return end === FIELD_NUMBER_END ? `${start} to max` : inclusiveRange({ start, end: end - 1 });
}

function inclusiveRange({ start, end }) {
  return start === end ? `${start}` : `${start} to ${end}`;
}

function inBrackets(assignments) {
  return assignments.length === 0 ? "" : ` [${assignments.join(", ")}]`;
}

function block(head, body) {
  return lines([`${head} {`, ...body, "}"]);
}

function lines(texts) {
  return texts.join("\n");
}

function assertKnown(condition, what) {
  if (!condition) throw new Error(`the printer does not know ${what}`);
}
