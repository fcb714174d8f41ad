import { type CelValue, celList, celMap } from "@bufbuild/cel";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { EvaluationMeter } from "./evaluation-meter.js";

/**
 * Turns a Struct into values of CEL, at one step a value. The evaluator would do it anew at every mention of the field,
 * so each Struct is converted once an evaluation. Nesting is bounded where signals enter (`maxStructDepth`).
 */
export class StructValues {
  readonly #meter: EvaluationMeter;
  readonly #converted = new Map<JsonObject, CelValue>();

  constructor(meter: EvaluationMeter) {
    this.#meter = meter;
  }

  /** Forgets what the last evaluation converted. */
  clear(): void {
    this.#converted.clear();
  }

  /** The Struct as a map; an unset one is empty. */
  valueOf(struct: JsonObject | undefined): CelValue {
    if (struct === undefined) return celMap(new Map());
    const known = this.#converted.get(struct);
    if (known !== undefined) return known;
    const value = this.#convert(struct);
    this.#converted.set(struct, value);
    return value;
  }

  #convert(json: JsonValue): CelValue {
    this.#meter.charge(1);
    if (json === null || typeof json !== "object") return json;
    if (Array.isArray(json)) return celList(json.map((item) => this.#convert(item)));
    const entries = Object.entries(json).map(([key, value]) => [key, this.#convert(value)] as const);
    return celMap(new Map(entries));
  }
}
