import { type CelEnv, CelScalar, type CelType } from "@bufbuild/cel";
import { areComparable, describeType, isAssignable, joinTypes } from "./expression-type.js";

/** A call as the checker sees it. */
export interface TypedCall {
  readonly name: string;
  /** The type of `x` in `x.f()`; undefined for functions and operators. */
  readonly target: CelType | undefined;
  readonly args: readonly CelType[];
}

const operatorNames: Readonly<Record<string, string>> = {
  "@in": "in",
  "!_": "!",
  "-_": "-",
  "_[_]": "[]",
  "_?_:_": "?:",
};

/** The type a call yields, or why nothing declared fits it. */
export function resolveCall(funcs: CelEnv["funcs"], call: TypedCall): CelType | Error {
  const declared = funcs.find(call.name);
  if (declared === undefined) return new Error(`function ${JSON.stringify(call.name)} is not declared`);
  const fitting = [...declared].filter(
    ({ target, arguments: parameters }) =>
      fitsTarget(call.target, target) &&
      parameters.length === call.args.length &&
      parameters.every((parameter, index) => isAssignable(call.args[index] ?? CelScalar.DYN, parameter)),
  );
  if (fitting.length === 0 || !comparesLike(call)) return new Error(describeMisfit(call));
  return joinTypes(fitting.map(({ result }) => result));
}

/** A function's or operator's name as people write it. */
export function operatorName(name: string): string {
  return operatorNames[name] ?? (/^_(\W+)_$/.exec(name)?.[1] || name);
}

function fitsTarget(actual: CelType | undefined, declared: CelType | undefined): boolean {
  return actual === undefined || declared === undefined ? actual === declared : isAssignable(actual, declared);
}

/** Equality is declared for any two values; to ask it of values that can never be equal is a mistake. */
function comparesLike({ name, args: [left, right] }: TypedCall): boolean {
  if (left === undefined || right === undefined) return true;
  if (name === "_==_" || name === "_!=_") return areComparable(left, right);
  if (name !== "@in") return true;
  if (right.kind === "list") return areComparable(left, right.element);
  return right.kind === "map" ? areComparable(left, right.key) : true;
}

function describeMisfit({ name, target, args }: TypedCall): string {
  const given = args.map(describeType).join(", ");
  return target === undefined
    ? `${operatorName(name)} does not take (${given})`
    : `${describeType(target)} has no method ${name}(${given})`;
}
