// Static types of expressions, as far as the contract's descriptors tell them. What they do not tell (the fields of a
// Struct, a list of mixed things) is `dyn`, which fits everywhere and is checked when the expression runs.
import { type CelMapType, CelScalar, type CelType, listType, mapType, objectType } from "@bufbuild/cel";
import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { isWrapperDesc, ListValueSchema, StructSchema, ValueSchema } from "@bufbuild/protobuf/wkt";

const numericNames: ReadonlySet<string> = new Set(["int", "uint", "double"]);

/** The type of a message's field, as an expression sees it: a Struct is a map, an enum an int. */
export function typeOfField(field: DescField): CelType {
  switch (field.fieldKind) {
    case "scalar":
      return typeOfScalar(field.scalar);
    case "enum":
      return CelScalar.INT;
    case "message":
      return typeOfMessage(field.message);
    case "list":
      return listType(elementTypeOf(field));
    case "map":
      return mapType(keyTypeOf(field.mapKey), elementTypeOf(field));
  }
}

/** Whether a field holds a `google.protobuf.Struct`. */
export function isStructField(field: DescField): boolean {
  return field.fieldKind === "message" && field.message.typeName === StructSchema.typeName;
}

/** Whether a value of a type may be given where another is declared. */
export function isAssignable(actual: CelType, declared: CelType): boolean {
  if (isDyn(actual) || isDyn(declared)) return true;
  if (actual.kind === "list" && declared.kind === "list") return isAssignable(actual.element, declared.element);
  if (actual.kind === "map" && declared.kind === "map") {
    return isAssignable(actual.key, declared.key) && isAssignable(actual.value, declared.value);
  }
  return actual.kind === declared.kind && actual.name === declared.name;
}

/** Whether it can make sense to ask if values of two types are equal: numbers of all kinds compare by value. */
export function areComparable(left: CelType, right: CelType): boolean {
  if (isDyn(left) || isDyn(right) || (isNumeric(left) && isNumeric(right))) return true;
  if (left.kind === "list" && right.kind === "list") return areComparable(left.element, right.element);
  if (left.kind === "map" && right.kind === "map") {
    return areComparable(left.key, right.key) && areComparable(left.value, right.value);
  }
  if (isNull(left) || isNull(right))
    return left.kind === "object" || right.kind === "object" || left.name === right.name;
  return left.kind === right.kind && left.name === right.name;
}

/** The one type of several values, `dyn` when they differ. */
export function joinTypes(types: readonly CelType[]): CelType {
  const [first, ...others] = types;
  if (first === undefined) return CelScalar.DYN;
  return others.every((other) => describeType(other) === describeType(first)) ? first : CelScalar.DYN;
}

/** The type of a map's keys, as far as keys can have it. */
export function joinKeyTypes(types: readonly CelType[]): CelMapType["key"] | undefined {
  const joined = joinTypes(types);
  return [CelScalar.INT, CelScalar.UINT, CelScalar.BOOL, CelScalar.STRING, CelScalar.DYN].find(
    (key) => key.name === joined.name,
  );
}

/** A type in the words of CEL, for example `list(string)`. */
export function describeType(type: CelType): string {
  switch (type.kind) {
    case "list":
      return `list(${describeType(type.element)})`;
    case "map":
      return `map(${describeType(type.key)}, ${describeType(type.value)})`;
    case "object":
    case "scalar":
      return type.name;
  }
}

/** Whether nothing is known about a type. */
export function isDyn(type: CelType): boolean {
  return type.kind === "scalar" && type.name === "dyn";
}

/** Whether a type is int, uint or double. */
export function isNumeric(type: CelType): boolean {
  return type.kind === "scalar" && numericNames.has(type.name);
}

function isNull(type: CelType): boolean {
  return type.kind === "scalar" && type.name === "null_type";
}

function elementTypeOf(field: DescField & { fieldKind: "list" | "map" }): CelType {
  if (field.message !== undefined) return typeOfMessage(field.message);
  return field.scalar === undefined ? CelScalar.INT : typeOfScalar(field.scalar);
}

function typeOfMessage(message: DescMessage): CelType {
  switch (message.typeName) {
    case StructSchema.typeName:
      return mapType(CelScalar.STRING, CelScalar.DYN);
    case ListValueSchema.typeName:
      return listType(CelScalar.DYN);
    case ValueSchema.typeName:
      return CelScalar.DYN;
  }
  // A wrapper that is not set is null, so its type is two types.
  return isWrapperDesc(message) ? CelScalar.DYN : objectType(message);
}

function keyTypeOf(scalar: ScalarType): CelMapType["key"] {
  return joinKeyTypes([typeOfScalar(scalar)]) ?? CelScalar.DYN;
}

function typeOfScalar(scalar: ScalarType): CelType {
  switch (scalar) {
    case ScalarType.BOOL:
      return CelScalar.BOOL;
    case ScalarType.STRING:
      return CelScalar.STRING;
    case ScalarType.BYTES:
      return CelScalar.BYTES;
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return CelScalar.DOUBLE;
    case ScalarType.UINT32:
    case ScalarType.UINT64:
    case ScalarType.FIXED32:
    case ScalarType.FIXED64:
      return CelScalar.UINT;
    case ScalarType.INT32:
    case ScalarType.INT64:
    case ScalarType.SINT32:
    case ScalarType.SINT64:
    case ScalarType.SFIXED32:
    case ScalarType.SFIXED64:
      return CelScalar.INT;
  }
}
