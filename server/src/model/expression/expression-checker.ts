// Types are derived from the leaves up, from the contract's descriptors and the declared functions. What can never work
// is refused before a subscription begins; what only a signal can tell stays `dyn` and is decided signal by signal.
import { type CelEnv, CelScalar, type CelType, isCelError, listType, mapType, plan } from "@bufbuild/cel";
import { ExpressionError } from "./expression-error.js";
import { ExpressionPatterns } from "./expression-patterns.js";
import type {
  CallExpr,
  ComprehensionExpr,
  ConstantExpr,
  Expr,
  ParsedExpression,
  SelectExpr,
  StructExpr,
} from "./expression-syntax.js";
import {
  areComparable,
  describeType,
  isAssignable,
  isDyn,
  isNumeric,
  joinKeyTypes,
  joinTypes,
  typeOfField,
} from "./expression-type.js";
import { operatorName, resolveCall } from "./overload-resolution.js";

/** What is known about an expression before it runs. */
export interface CheckedExpression extends ParsedExpression {
  /** The type of each node, by the node's id. */
  readonly types: ReadonlyMap<bigint, CelType>;
  /** The numbers of enum values, by the id of the node that names one. */
  readonly constants: ReadonlyMap<bigint, bigint>;
  /** The patterns of `matches()`, compiled. */
  readonly patterns: ExpressionPatterns;
}

/** The names an expression may use. */
export interface Declarations {
  /** Functions, methods and operators. */
  readonly env: CelEnv;
  /** Types of the variables. */
  readonly variables: ReadonlyMap<string, CelType>;
  /** Numbers of enum values by name, for example `coordination.v1.Priority.PRIORITY_HIGH`. */
  readonly enumValues: ReadonlyMap<string, bigint>;
}

type Scope = ReadonlyMap<string, CelType>;

const leastInt = -(2n ** 63n);
const greatestInt = 2n ** 63n - 1n;
const greatestUint = 2n ** 64n - 1n;
/** Types can be compared with what `type()` returns. */
const typeNames: ReadonlySet<string> = new Set("int uint double bool string bytes list map null_type type".split(" "));
/** Conversions of a literal that fails are mistakes in the text. */
const conversions: ReadonlySet<string> = new Set("timestamp duration int uint double bool bytes string".split(" "));
const macros: ReadonlySet<string> = new Set("has exists all exists_one map filter".split(" "));
const maxListedFields = 20;

/** Checks names and types, the result's too. Throws ExpressionError that names the place, for example `1:17`. */
export function checkExpression(
  parsed: ParsedExpression,
  declarations: Declarations,
  resultType: CelType,
): CheckedExpression {
  return new ExpressionChecker(parsed, declarations).check(resultType);
}

class ExpressionChecker {
  readonly #parsed: ParsedExpression;
  readonly #declarations: Declarations;
  readonly #types = new Map<bigint, CelType>();
  readonly #constants = new Map<bigint, bigint>();
  readonly #patterns = new ExpressionPatterns();

  constructor(parsed: ParsedExpression, declarations: Declarations) {
    this.#parsed = parsed;
    this.#declarations = declarations;
  }

  check(resultType: CelType): CheckedExpression {
    const { root } = this.#parsed;
    const type = this.#typeOf(root, this.#declarations.variables);
    if (!isAssignable(type, resultType)) {
      throw this.#refuse(root, `it yields ${describeType(type)}, not ${describeType(resultType)}`);
    }
    return { ...this.#parsed, types: this.#types, constants: this.#constants, patterns: this.#patterns };
  }

  #typeOf(expr: Expr, scope: Scope): CelType {
    const type = this.#derive(expr, scope);
    this.#types.set(expr.id, type);
    return type;
  }

  #derive(expr: Expr, scope: Scope): CelType {
    const { exprKind } = expr;
    switch (exprKind.case) {
      case "constExpr":
        return this.#typeOfConstant(expr, exprKind.value);
      case "identExpr":
        return this.#typeOfName(expr, exprKind.value.name, scope);
      case "selectExpr":
        return this.#typeOfSelect(expr, exprKind.value, scope);
      case "callExpr":
        return this.#typeOfCall(expr, exprKind.value, scope);
      case "listExpr":
        return listType(joinTypes(exprKind.value.elements.map((element) => this.#typeOf(element, scope))));
      case "structExpr":
        return this.#typeOfStruct(expr, exprKind.value, scope);
      case "comprehensionExpr":
        return this.#typeOfComprehension(expr, exprKind.value, scope);
      case undefined:
        throw this.#refuse(expr, "it is incomplete");
    }
  }

  #typeOfConstant(expr: Expr, { constantKind }: ConstantExpr): CelType {
    switch (constantKind.case) {
      case "int64Value":
        if (constantKind.value >= leastInt && constantKind.value <= greatestInt) return CelScalar.INT;
        throw this.#refuse(expr, `int literal is out of range, limits are ${leastInt} and ${greatestInt}`);
      case "uint64Value":
        if (constantKind.value <= greatestUint) return CelScalar.UINT;
        throw this.#refuse(expr, `uint literal is out of range, limit is ${greatestUint}`);
      case "doubleValue":
        return CelScalar.DOUBLE;
      case "boolValue":
        return CelScalar.BOOL;
      case "stringValue":
        return CelScalar.STRING;
      case "bytesValue":
        return CelScalar.BYTES;
      case "nullValue":
        return CelScalar.NULL;
      default:
        throw this.#refuse(expr, "this kind of literal is not known");
    }
  }

  #typeOfName(expr: Expr, name: string, scope: Scope): CelType {
    const type = scope.get(name) ?? (typeNames.has(name) ? CelScalar.TYPE : undefined);
    if (type !== undefined) return type;
    const { variables, enumValues } = this.#declarations;
    const meant = [...enumValues.keys()].find((value) => value.endsWith(`.${name}`));
    if (meant !== undefined) throw this.#refuse(expr, `${JSON.stringify(name)} is not declared, ${meant} is`);
    const known = [...variables.keys()].map((variable) => JSON.stringify(variable)).join(", ");
    throw this.#refuse(expr, `${JSON.stringify(name)} is not declared, known are ${known} and its enums' values`);
  }

  #typeOfSelect(expr: Expr, select: SelectExpr, scope: Scope): CelType {
    const number = select.testOnly ? undefined : this.#enumNumber(expr, scope);
    if (number !== undefined) {
      this.#constants.set(expr.id, number);
      return CelScalar.INT;
    }
    if (select.operand === undefined) throw this.#refuse(expr, "it is incomplete");
    const type = this.#fieldType(expr, this.#typeOf(select.operand, scope), select.field);
    return select.testOnly ? CelScalar.BOOL : type;
  }

  /** The number when the node is the qualified name of an enum value and not a variable's field. */
  #enumNumber(expr: Expr, scope: Scope): bigint | undefined {
    const path = qualifiedName(expr);
    const [variable] = path ?? [];
    if (path === undefined || variable === undefined || scope.has(variable)) return undefined;
    const name = path.join(".");
    const number = this.#declarations.enumValues.get(name);
    if (number === undefined) this.#typeOfName(expr, name, scope);
    return number;
  }

  #fieldType(expr: Expr, type: CelType, name: string): CelType {
    if (isDyn(type)) return type;
    if (type.kind === "map" && isAssignable(CelScalar.STRING, type.key)) return type.value;
    if (type.kind !== "object" || type.desc === undefined) {
      throw this.#refuse(expr, `${describeType(type)} has no field ${JSON.stringify(name)}`);
    }
    const { fields } = type.desc;
    const field = fields.find((candidate) => candidate.name === name);
    if (field !== undefined) return typeOfField(field);
    const known = fields.slice(0, maxListedFields).map((candidate) => candidate.name);
    throw this.#refuse(expr, `${type.name} has no field ${JSON.stringify(name)}, it has ${known.join(", ")}`);
  }

  #typeOfCall(expr: Expr, call: CallExpr, scope: Scope): CelType {
    switch (call.function) {
      case "_&&_":
      case "_||_":
        for (const arg of call.args) this.#requireBool(arg, operatorName(call.function), scope);
        return CelScalar.BOOL;
      case "_?_:_":
        return this.#typeOfConditional(expr, call.args, scope);
      case "_[_]":
        return this.#typeOfIndex(expr, call.args, scope);
      case "@not_strictly_false":
        for (const arg of call.args) this.#typeOf(arg, scope);
        return CelScalar.BOOL;
      default:
        return this.#typeOfDeclared(expr, call, scope);
    }
  }

  #typeOfConditional(expr: Expr, [condition, yes, no]: readonly Expr[], scope: Scope): CelType {
    if (condition === undefined || yes === undefined || no === undefined) throw this.#refuse(expr, "it is incomplete");
    this.#requireBool(condition, "?:", scope);
    return joinTypes([this.#typeOf(yes, scope), this.#typeOf(no, scope)]);
  }

  #typeOfIndex(expr: Expr, [operand, index]: readonly Expr[], scope: Scope): CelType {
    if (operand === undefined || index === undefined) throw this.#refuse(expr, "it is incomplete");
    const type = this.#typeOf(operand, scope);
    const key = this.#typeOf(index, scope);
    if (isDyn(type)) return type;
    if (type.kind === "list" && (isDyn(key) || isNumeric(key))) return type.element;
    if (type.kind === "map" && areComparable(key, type.key)) return type.value;
    throw this.#refuse(expr, `${describeType(type)} has no index of type ${describeType(key)}`);
  }

  #typeOfDeclared(expr: Expr, call: CallExpr, scope: Scope): CelType {
    if (macros.has(call.function)) throw this.#refuse(expr, describeMacro(call.function));
    const target = call.target && this.#typeOf(call.target, scope);
    const args = call.args.map((arg) => this.#typeOf(arg, scope));
    const type = resolveCall(this.#declarations.env.funcs, { name: call.function, target, args });
    if (type instanceof Error) throw this.#refuse(expr, type.message);
    if (call.function === "matches") this.#addPattern(call.args.at(-1));
    if (conversions.has(call.function)) this.#tryConversion(expr, call.args);
    return type;
  }

  /** Only a literal can be compiled once and its cost be known; a pattern out of a signal is its sender's program. */
  #addPattern(arg: Expr | undefined): void {
    if (arg === undefined) return;
    const source = stringLiteral(arg);
    if (source === undefined) throw this.#refuse(arg, "the pattern of matches() must be a string literal");
    try {
      this.#patterns.add(source);
    } catch (error) {
      throw this.#refuse(arg, error instanceof Error ? error.message : "the pattern cannot be compiled");
    }
  }

  #tryConversion(expr: Expr, args: readonly Expr[]): void {
    if (args.some((arg) => arg.exprKind.case !== "constExpr")) return;
    const result = plan(this.#declarations.env, expr)();
    if (isCelError(result)) throw this.#refuse(expr, result.message);
  }

  #typeOfStruct(expr: Expr, struct: StructExpr, scope: Scope): CelType {
    if (struct.messageName !== "") throw this.#refuse(expr, "messages cannot be made in an expression");
    const keys: CelType[] = [];
    const values: CelType[] = [];
    for (const { keyKind, value } of struct.entries) {
      if (keyKind.case !== "mapKey" || value === undefined) throw this.#refuse(expr, "it is incomplete");
      keys.push(this.#typeOf(keyKind.value, scope));
      values.push(this.#typeOf(value, scope));
    }
    const keyType = joinKeyTypes(keys);
    if (keyType === undefined)
      throw this.#refuse(expr, `a map cannot have keys of type ${describeType(joinTypes(keys))}`);
    return mapType(keyType, joinTypes(values));
  }

  #typeOfComprehension(expr: Expr, value: ComprehensionExpr, scope: Scope): CelType {
    const { accuInit, accuVar, iterRange, iterVar, loopCondition, loopStep, result } = value;
    if (!accuInit || !iterRange || !loopCondition || !loopStep || !result) throw this.#refuse(expr, "it is incomplete");
    const accuType = this.#typeOf(accuInit, scope);
    const itemType = this.#itemType(iterRange, scope);
    const body = new Map([...scope, [accuVar, accuType], [iterVar, itemType]]);
    this.#typeOf(loopCondition, body);
    this.#typeOf(loopStep, body);
    return this.#typeOf(result, new Map([...scope, [accuVar, accuType]]));
  }

  #itemType(range: Expr, scope: Scope): CelType {
    const type = this.#typeOf(range, scope);
    if (isDyn(type)) return type;
    if (type.kind === "list") return type.element;
    if (type.kind === "map") return type.key;
    throw this.#refuse(range, `${describeType(type)} has no items`);
  }

  #requireBool(expr: Expr, operator: string, scope: Scope): void {
    const type = this.#typeOf(expr, scope);
    if (!isAssignable(type, CelScalar.BOOL)) {
      throw this.#refuse(expr, `${operator} takes bool, this is ${describeType(type)}`);
    }
  }

  #refuse(expr: Expr, message: string): Error {
    return new ExpressionError(message, this.#parsed.positionOf(expr));
  }
}

/** The names of `a.b.c`; undefined when anything but names is in the chain. */
function qualifiedName({ exprKind }: Expr): readonly string[] | undefined {
  if (exprKind.case === "identExpr") return [exprKind.value.name];
  if (exprKind.case !== "selectExpr" || exprKind.value.operand === undefined) return undefined;
  const operand = qualifiedName(exprKind.value.operand);
  return operand && [...operand, exprKind.value.field];
}

/** The parser expands macros; one that is still a call did not have their form. */
function describeMacro(name: string): string {
  return name === "has"
    ? "has() takes a field, for example has(signal.agent_completed)"
    : `${name}() takes a new name and what to do with it, for example list.${name}(item, item != "")`;
}

function stringLiteral({ exprKind }: Expr): string | undefined {
  if (exprKind.case !== "constExpr") return undefined;
  const { constantKind } = exprKind.value;
  return constantKind.case === "stringValue" ? constantKind.value : undefined;
}
