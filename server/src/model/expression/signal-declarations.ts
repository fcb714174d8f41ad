import { type CelEnv, type CelType, objectType } from "@bufbuild/cel";
import { CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import type { Declarations } from "./expression-checker.js";
import { isStructField } from "./expression-type.js";

/** The variables of a filter expression. */
export const signalVariables = { signal: objectType(CoordinationSignalSchema) };

/** What a filter expression may name: `signal`, the functions of `env` and the enums beside the signal's message. */
export function signalDeclarations(env: CelEnv): Declarations {
  return { env, variables: new Map<string, CelType>(Object.entries(signalVariables)), enumValues: enumValues() };
}

/** Names of the fields anywhere in a signal that hold a Struct. */
export function structFieldNames(): ReadonlySet<string> {
  const fields = CoordinationSignalSchema.file.messages.flatMap((message) => message.fields);
  return new Set(fields.filter(isStructField).map((field) => field.name));
}

/** Both `coordination.v1.Priority.PRIORITY_HIGH` and, inside its package as we are, `Priority.PRIORITY_HIGH`. */
function enumValues(): ReadonlyMap<string, bigint> {
  const { enums } = CoordinationSignalSchema.file;
  return new Map(
    enums.flatMap((type) =>
      type.values.flatMap((value) =>
        [type.typeName, type.name].map((prefix) => [`${prefix}.${value.name}`, BigInt(value.number)] as const),
      ),
    ),
  );
}
