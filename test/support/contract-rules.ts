/** The rules that the contract states, and values around their bounds, for tests of what checks requests quickly. */
import { type DescMessage, getOption, toJson } from "@bufbuild/protobuf";
import {
  FieldRulesSchema,
  field as fieldRules,
  OneofRulesSchema,
  oneof as oneofRules,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import fc from "fast-check";

/** The rules of messages, a line for each field and each group of fields of which one is set. */
export function rulesOf(schemas: readonly DescMessage[]): readonly string[] {
  return schemas.flatMap((schema) => [
    ...schema.fields.map(
      (field) =>
        `${schema.name}.${field.name} ${JSON.stringify(toJson(FieldRulesSchema, getOption(field, fieldRules)))}`,
    ),
    ...schema.oneofs.map(
      (group) =>
        `${schema.name}.${group.name} ${JSON.stringify(toJson(OneofRulesSchema, getOption(group, oneofRules)))}`,
    ),
  ]);
}

/** Texts around every bound and character that a rule speaks of. */
const oddText = fc.oneof(
  fc.constantFrom(
    "",
    "a",
    "9",
    "-a",
    "a b",
    "a\n",
    "a\u007f",
    "\u0000",
    "ü",
    "😀",
    "__proto__",
    "A.b:c/d_e-f",
    "a@b",
    "~ ~",
  ),
  fc
    .constantFrom(127, 128, 129, 199, 200, 201, 1_023, 1_024, 1_025, 4_095, 4_096, 4_097)
    .map((length) => "x".repeat(length)),
  fc.constantFrom(100, 101, 200, 201).map((length) => "😀".repeat(length)),
  fc.string({ maxLength: 12 }),
);

/** Most texts are plain, so that what is not decides. */
export const text = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom("a", "B9", "A.b:c/d_e-f") },
  { weight: 1, arbitrary: oddText },
);

/** Lists of texts around every bound for their number. */
export const texts = fc.oneof(
  fc.array(text, { maxLength: 4 }),
  fc
    .constantFrom(15, 16, 17, 100, 101, 128, 129, 1_000, 1_001)
    .map((count) => Array.from({ length: count }, (_, index) => `t${index}`)),
);

/** Numbers around the bounds of scores and spans. */
export const number = fc.constantFrom(undefined, 0, -0, 1, 0.5, 1.5, -1, -1e-300, Number.NaN, Number.POSITIVE_INFINITY);

/** Absent where it is undefined, as generated code tells the two apart. */
export function present(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
