// The evaluator does whatever an expression says. So the tree is rewritten before it is planned: wherever the work
// depends on the signal's size, a call of one of our own functions stands in the way and charges the meter first.
// Functions are named with `@`, which no name in an expression can contain.
import type { CelType } from "@bufbuild/cel";
import type { CheckedExpression } from "./expression-checker.js";
import {
  type CallExpr,
  type ComprehensionExpr,
  type ConstantExpr,
  type Expr,
  nodesOf,
  type SelectExpr,
} from "./expression-syntax.js";
import { isDyn, isNumeric, isStructField } from "./expression-type.js";

/** Functions that only the rewritten tree calls. */
export const meteredFunction = {
  /** `@charge(int) -> bool`: charges, and is true. */
  charge: "@charge",
  /** `@range(value) -> value`: charges one step for each item of a range about to be walked. */
  range: "@range",
  /** `@list() -> list`: a new list that `@append` may extend. */
  list: "@list",
  /** `@append(list, item) -> list`: extends the list in place; the evaluator would nest one list per item. */
  append: "@append",
  /** `@struct(message or map, field) -> map`: the Struct in a field, converted once an evaluation. */
  struct: "@struct",
  /** `@index(list or map, key) -> value`: charges for keys that the evaluator looks for one by one. */
  index: "@index",
  /** `@has(map or message, field) -> bool`: whether it is there, for `has()`. */
  has: "@has",
} as const;

/**
 * Rewrites a checked tree for planning.
 *
 * @param structFields names of the fields that hold a Struct, for operands whose type only the signal tells.
 */
export function meterExpression(checked: CheckedExpression, structFields: ReadonlySet<string>): Expr {
  return new ExpressionRewriter(checked, structFields).rewrite(checked.root);
}

class ExpressionRewriter {
  readonly #checked: CheckedExpression;
  readonly #structFields: ReadonlySet<string>;

  constructor(checked: CheckedExpression, structFields: ReadonlySet<string>) {
    this.#checked = checked;
    this.#structFields = structFields;
  }

  rewrite(expr: Expr): Expr {
    const { exprKind } = expr;
    switch (exprKind.case) {
      case "selectExpr":
        return this.#rewriteSelect(expr, exprKind.value);
      case "callExpr":
        return this.#rewriteCall(expr, exprKind.value);
      case "listExpr": {
        const elements = exprKind.value.elements.map((element) => this.rewrite(element));
        return { ...expr, exprKind: { case: "listExpr", value: { ...exprKind.value, elements } } };
      }
      case "structExpr": {
        const entries = exprKind.value.entries.map((entry) => ({
          ...entry,
          keyKind:
            entry.keyKind.case === "mapKey"
              ? { case: entry.keyKind.case, value: this.rewrite(entry.keyKind.value) }
              : entry.keyKind,
          ...(entry.value && { value: this.rewrite(entry.value) }),
        }));
        return { ...expr, exprKind: { case: "structExpr", value: { ...exprKind.value, entries } } };
      }
      case "comprehensionExpr":
        return this.#rewriteComprehension(expr, exprKind.value);
      default:
        return expr;
    }
  }

  #rewriteSelect(expr: Expr, select: SelectExpr): Expr {
    const number = this.#checked.constants.get(expr.id);
    if (number !== undefined) return constant(expr, { case: "int64Value", value: number });
    if (select.operand === undefined) return expr;
    const operand = this.rewrite(select.operand);
    const field = constant(expr, { case: "stringValue", value: select.field });
    // What a message has, the evaluator tells right and in a third of the time.
    if (select.testOnly && this.#typeOf(select.operand)?.kind !== "object") {
      return callOf(expr, meteredFunction.has, [operand, field]);
    }
    if (!select.testOnly && this.#mayHoldStruct(select.operand, select.field)) {
      return callOf(expr, meteredFunction.struct, [operand, field]);
    }
    return { ...expr, exprKind: { case: "selectExpr", value: { ...select, operand } } };
  }

  #mayHoldStruct(operand: Expr, field: string): boolean {
    const type = this.#typeOf(operand);
    if (type?.kind === "object") {
      return type.desc?.fields.some((candidate) => candidate.name === field && isStructField(candidate)) ?? false;
    }
    return (type === undefined || isDyn(type)) && this.#structFields.has(field);
  }

  #rewriteCall(expr: Expr, call: CallExpr): Expr {
    const args = call.args.map((arg) => this.rewrite(arg));
    if (call.function === "_[_]" && !this.#isDirectIndex(call.args)) return callOf(expr, meteredFunction.index, args);
    const item = appendedItem(call.function, args);
    if (item !== undefined) return callOf(expr, meteredFunction.append, [...args.slice(0, 1), item]);
    const target = call.target && this.rewrite(call.target);
    return { ...expr, exprKind: { case: "callExpr", value: { ...call, args, ...(target && { target }) } } };
  }

  /** Whether an index certainly takes the same time whatever the size. */
  #isDirectIndex([operand, key]: readonly Expr[]): boolean {
    const type = operand && this.#typeOf(operand);
    const keyType = key && this.#typeOf(key);
    if (type === undefined || keyType === undefined) return false;
    return type.kind === "list" ? isNumeric(keyType) : type.kind === "map" && keyType.name === "string";
  }

  #rewriteComprehension(expr: Expr, value: ComprehensionExpr): Expr {
    const { accuInit, iterRange, loopCondition, loopStep } = value;
    if (!accuInit || !iterRange || !loopCondition || !loopStep) return expr;
    const step = this.rewrite(loopStep);
    const cost = constant(expr, { case: "int64Value", value: BigInt(nodesOf(step).length) });
    const rewritten: ComprehensionExpr = {
      ...value,
      accuInit: isEmptyList(accuInit) ? callOf(accuInit, meteredFunction.list, []) : this.rewrite(accuInit),
      iterRange: callOf(iterRange, meteredFunction.range, [this.rewrite(iterRange)]),
      loopCondition: callOf(expr, "_&&_", [callOf(expr, meteredFunction.charge, [cost]), loopCondition]),
      loopStep: step,
    };
    return { ...expr, exprKind: { case: "comprehensionExpr", value: rewritten } };
  }

  #typeOf(expr: Expr): CelType | undefined {
    return this.#checked.types.get(expr.id);
  }
}

/** What `map` and `filter` add to their result: the `x` in `@result + [x]`. */
function appendedItem(name: string, [list, addition]: readonly Expr[]): Expr | undefined {
  if (name !== "_+_" || list?.exprKind.case !== "identExpr" || !list.exprKind.value.name.startsWith("@"))
    return undefined;
  return addition?.exprKind.case === "listExpr" ? addition.exprKind.value.elements[0] : undefined;
}

function isEmptyList({ exprKind }: Expr): boolean {
  return exprKind.case === "listExpr" && exprKind.value.elements.length === 0;
}

function callOf({ id }: Expr, name: string, args: readonly Expr[]): Expr {
  const value: CallExpr = { $typeName: "cel.expr.Expr.Call", function: name, args: [...args] };
  return { $typeName: "cel.expr.Expr", id, exprKind: { case: "callExpr", value } };
}

function constant({ id }: Expr, constantKind: ConstantExpr["constantKind"]): Expr {
  const value: ConstantExpr = { $typeName: "cel.expr.Constant", constantKind };
  return { $typeName: "cel.expr.Expr", id, exprKind: { case: "constExpr", value } };
}
