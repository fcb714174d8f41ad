import type { Validator } from "../generation/validator-source.js";
import type { JsonValue } from "../json-value.js";
import { maxErrorsPerPayload, maxSummaryLineLength } from "../limits.js";

/** One thing that is wrong with a payload. */
export interface PayloadError {
  /** Where in the payload: a JSON pointer, empty for its root. */
  readonly path: string;
  readonly message: string;
}

/** Why a payload did not pass. */
export interface PayloadErrors {
  /** The first errors, those of single values before those of the unions around them. */
  readonly errors: readonly PayloadError[];
  /** How many there are in all. */
  readonly errorCount: number;
}

/** Validates a payload; undefined when it passes. */
export function checkPayload(validate: Validator, payload: JsonValue): PayloadErrors | undefined {
  if (validate(payload)) return undefined;
  const found = validate.errors ?? [];
  const unions = new Set(["oneOf", "anyOf", "allOf", "if"]);
  const ordered = [
    ...found.filter(({ keyword }) => !unions.has(keyword)),
    ...found.filter(({ keyword }) => unions.has(keyword)),
  ];
  const errors = ordered.slice(0, maxErrorsPerPayload).map(({ instancePath, message, keyword, params }) => ({
    path: instancePath,
    message: `${message ?? `fails ${keyword}`}${detailOf(params)}`.slice(0, maxSummaryLineLength),
  }));
  return { errors, errorCount: found.length };
}

/** The one thing that the compiler's messages leave out: which property is one too many, and which values would be allowed. */
function detailOf(params: Readonly<Record<string, unknown>>): string {
  const additional = params["additionalProperty"] ?? params["unevaluatedProperty"];
  if (additional !== undefined) return `: ${JSON.stringify(additional)}`;
  const allowed = params["allowedValues"] ?? params["allowedValue"];
  return allowed === undefined ? "" : `: ${JSON.stringify(allowed)}`;
}
