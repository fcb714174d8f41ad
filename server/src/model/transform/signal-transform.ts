// A transform changes what a reader is handed, never what is stored. It is checked as far as possible when it is compiled;
// what it cannot do to one signal (an expression without a value) leaves the field empty, never with what stood there.
import { CelScalar, type CelType } from "@bufbuild/cel";
import { create, type JsonValue, ScalarType, toBinary } from "@bufbuild/protobuf";
import {
  type CoordinationSignal,
  CoordinationSignalSchema,
  type FieldTransform,
  type SignalTransform,
} from "@coordination-signals/proto/coordination/v1/signal";
import { CoordinationError } from "../coordination-error.js";
import type { EvaluationTurns } from "../expression/evaluation-turns.js";
import { ExpressionError } from "../expression/expression-error.js";
import { describeType, isStructField, typeOfField } from "../expression/expression-type.js";
import { defaultRedaction, maxReadMaskPaths, maxSignalBytes } from "../limits.js";
import { LogEntry } from "../log-entry.js";
import type { SignalExpression, SignalExpressionCompiler } from "../signal-expression.js";
import { changePlace, unsetValue } from "./change-place.js";
import { fieldValueOf, OversizeError } from "./field-value.js";
import { PathError } from "./path-error.js";
import { compileReadMask } from "./read-mask.js";
import { type EventCase, eventMessage, identityFields, placesOf, type SignalPlace } from "./signal-path.js";

/** A transform that is ready to run. */
export interface CompiledTransform {
  /** Counts what the evaluations of its expressions take, where it has any. */
  readonly turns?: EvaluationTurns | undefined;
  /**
   * The entry as it is to be handed out: the same one when nothing changes. Throws FILTER_BUDGET_EXCEEDED when its expressions
   * together are too dear for this signal or make it larger than a signal can be.
   */
  apply(entry: LogEntry): LogEntry;
  /** Whether it may hand out something else in a field of an event, by its local name, than what was sent. */
  changes(event: EventCase, field: string): boolean;
}

type Step = (signal: CoordinationSignal) => CoordinationSignal;

/** A part of a transform: what it makes of a signal, and as of a transform, which fields it changes. */
interface Part {
  readonly step: Step;
  readonly changes: CompiledTransform["changes"];
}

/**
 * Compiles a transform: first the read mask, then the fields in order, each on what the ones before made. Throws
 * INVALID_TRANSFORM with metadata `part` and, where a place in an expression is to blame, `position`.
 */
export function compileSignalTransform(
  transform: SignalTransform,
  expressions: SignalExpressionCompiler,
): CompiledTransform {
  const parts = [
    ...(transform.readMask === undefined ? [] : [maskPart(transform.readMask.paths)]),
    ...transform.fields.map((field, index) => fieldPart(field, `fields[${index}]`, expressions)),
  ];
  const hasExpressions = transform.fields.some(({ action }) => action.case === "set");
  const change = (before: CoordinationSignal) => parts.reduce((signal, { step }) => step(signal), before);
  return {
    turns: hasExpressions ? expressions.turns : undefined,
    apply(entry) {
      const before = entry.signal;
      const after = hasExpressions ? expressions.onOneBudget(() => change(before)) : change(before);
      if (after === before) return entry;
      const changed = entryWith(entry, after);
      checkSize(changed);
      return changed;
    },
    changes: (event, field) => parts.some((part) => part.changes(event, field)),
  };
}

/** An entry of the same place in the log that says something else. */
export function entryWith({ sequence, acceptedAtMs }: LogEntry, signal: CoordinationSignal): LogEntry {
  return new LogEntry({ sequence, bytes: toBinary(CoordinationSignalSchema, signal), acceptedAtMs, signal });
}

function checkSize({ sequence, bytes, signal }: LogEntry): void {
  if (bytes.length <= maxSignalBytes) return;
  throw tooDear("fields", signal, `makes signal ${sequence} ${bytes.length} bytes long, limit is ${maxSignalBytes}`);
}

function maskPart(paths: readonly string[]): Part {
  if (paths.length > maxReadMaskPaths) {
    throw invalidTransform("read_mask", `it has ${paths.length} paths, limit is ${maxReadMaskPaths}`);
  }
  if (paths.includes("*")) return { step: (signal) => signal, changes: () => false };
  const places = paths.flatMap((path, index) => within(`read_mask.paths[${index}]`, path, () => placesOf(path)));
  return {
    step: compileReadMask(places),
    changes: (event, field) => !places.some((place) => isIn(place, event, field) && place.keys.length === 0),
  };
}

function fieldPart(transform: FieldTransform, part: string, expressions: SignalExpressionCompiler): Part {
  const { path } = transform;
  const places = within(`${part}.path`, path, () => placesOf(path).map(changeable));
  return {
    step: fieldStep(transform, places, part, expressions),
    changes: (event, field) => places.some((place) => isIn(place, event, field)),
  };
}

/** Whether a place is a field of an event, below it or the event as a whole. */
function isIn(place: SignalPlace, event: EventCase, field: string): boolean {
  return place.event === event && (place.field === undefined || place.field.localName === field);
}

function fieldStep(
  { path, action }: FieldTransform,
  places: readonly SignalPlace[],
  part: string,
  expressions: SignalExpressionCompiler,
): Step {
  switch (action.case) {
    case "remove":
      return each(places, removeAt);
    case "redact": {
      const text = action.value === "" ? defaultRedaction : action.value;
      within(`${part}.path`, path, () => places.forEach(checkHoldsText));
      return each(places, (place) => redactAt(place, text));
    }
    case "set": {
      const type = within(`${part}.path`, path, () => typeOf(places));
      return setAt(places, type, action.value, `${part}.set`, expressions);
    }
    case undefined:
      throw invalidTransform(part, "it says neither remove nor redact nor set");
  }
}

function each(places: readonly SignalPlace[], stepAt: (place: SignalPlace) => Step): Step {
  const steps = places.map(stepAt);
  return (signal) => steps.reduce((changed, step) => step(changed), signal);
}

function removeAt(place: SignalPlace): Step {
  const { event, field, keys } = place;
  const value = field === undefined || keys.length > 0 ? undefined : unsetValue(field);
  if (event !== undefined && field === undefined) {
    // Which event it is stays; what it says goes.
    return (signal) => changePlace(signal, place, "existing", () => create(eventMessage(event)));
  }
  return (signal) => changePlace(signal, place, "existing", (before) => (before === undefined ? before : value));
}

function redactAt(place: SignalPlace, text: string): Step {
  return (signal) => changePlace(signal, place, "existing", (before) => redacted(before, place, text));
}

function redacted(value: unknown, { field, keys }: SignalPlace, text: string): unknown {
  if (value === undefined || value === "") return value;
  if (keys.length > 0 || field?.fieldKind === "scalar") return text;
  if (Array.isArray(value)) return value.map(() => text);
  return Object.fromEntries(Object.keys(value as Record<string, JsonValue>).map((key) => [key, text]));
}

function setAt(
  places: readonly SignalPlace[],
  resultType: CelType,
  text: string,
  part: string,
  expressions: SignalExpressionCompiler,
): Step {
  const purpose = { resultType, name: "transform expression", part };
  const expression = within(part, text, () => expressions.compile(text, purpose));
  return (signal) => places.reduce((changed, place) => setOne(changed, place, expression, part), signal);
}

function setOne(
  signal: CoordinationSignal,
  place: SignalPlace,
  expression: SignalExpression,
  part: string,
): CoordinationSignal {
  const { event, field, keys } = place;
  if (field === undefined || (event !== undefined && signal.event.case !== event)) return signal;
  try {
    const result = expression.evaluate(signal);
    const value = result === undefined ? undefined : fieldValueOf(field, keys.length > 0, result);
    if (value === undefined) return removeAt(place)(signal);
    return changePlace(signal, place, "missing", () => value);
  } catch (error) {
    if (!(error instanceof OversizeError)) throw error;
    throw tooDear(part, signal, `makes a value for signal ${signal.sequence} that is too large: ${error.message}`);
  }
}

function changeable(place: SignalPlace): SignalPlace {
  if (place.event === undefined && place.field !== undefined && identityFields.has(place.field.name)) {
    throw new PathError("what tells one signal from another, or its order, cannot be changed");
  }
  return place;
}

function checkHoldsText({ field, keys }: SignalPlace): void {
  if (field === undefined) throw new PathError("an event cannot hold a text: name its fields, or remove it");
  if (keys.length > 0 || isStructField(field) || field.fieldKind === "map") return;
  const scalar: ScalarType | undefined = field.scalar;
  if (scalar !== ScalarType.STRING) throw new PathError(`${field.name} cannot hold a text: remove it`);
}

function typeOf(places: readonly SignalPlace[]): CelType {
  const [type, ...others] = places.map(typeAt);
  if (type !== undefined && others.every((other) => describeType(other) === describeType(type))) return type;
  throw new PathError("it names fields of different types: begin it with the event");
}

function typeAt({ field, keys }: SignalPlace): CelType {
  if (field === undefined) throw new PathError("an event as a whole cannot be set: name its fields");
  if (keys.length === 0) return typeOfField(field);
  return isStructField(field) ? CelScalar.DYN : CelScalar.STRING;
}

/** Runs what may find fault with a part of the transform, and says which part it was. */
function within<T>(part: string, text: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof PathError) throw invalidTransform(part, `${JSON.stringify(text)}: ${error.message}`);
    if (error instanceof ExpressionError) throw invalidTransform(part, error.description, error.position);
    throw error;
  }
}

function invalidTransform(part: string, message: string, position?: string): CoordinationError {
  return new CoordinationError("INVALID_TRANSFORM", `transform ${part}: ${message}`, {
    metadata: { part, ...(position !== undefined && { position }) },
  });
}

function tooDear(part: string, { sequence }: CoordinationSignal, what: string): CoordinationError {
  return new CoordinationError("FILTER_BUDGET_EXCEEDED", `transform ${what}`, {
    metadata: { part, sequence: String(sequence) },
  });
}
