import { parse } from "@bufbuild/cel";
import { maxExpressionLength, maxExpressionNodes } from "../limits.js";
import { ExpressionError } from "./expression-error.js";

/** A node of the syntax tree, `cel.expr.Expr`. */
export type Expr = ReturnType<typeof parse>["expr"];
type ExprKind<Case extends Expr["exprKind"]["case"]> = Extract<Expr["exprKind"], { readonly case: Case }>["value"];
/** A call of a function, a method or an operator. */
export type CallExpr = ExprKind<"callExpr">;
/** What `exists`, `all`, `exists_one`, `map` and `filter` become. */
export type ComprehensionExpr = ExprKind<"comprehensionExpr">;
/** A literal. */
export type ConstantExpr = ExprKind<"constExpr">;
/** `operand.field`, or `has(operand.field)`. */
export type SelectExpr = ExprKind<"selectExpr">;
/** A map literal, or the construction of a message. */
export type StructExpr = ExprKind<"structExpr">;

/** An expression that has the form of one, within the bounds of size. */
export interface ParsedExpression {
  readonly root: Expr;
  /** Where a node stands in the text, as `line:column`, both from 1. */
  positionOf(expr: Expr): string;
}

/**
 * Parses a CEL expression. Throws ExpressionError when it is too long, malformed, has too many nodes (macros count
 * expanded), or has a comprehension inside another one's body, which would make its cost quadratic.
 */
export function parseExpression(text: string): ParsedExpression {
  checkLength(text);
  const { expr: root, sourceInfo } = parseText(text);
  const parsed = {
    root,
    positionOf: (expr: Expr) => positionAt(text, tokenStart(text, sourceInfo?.positions[String(expr.id)] ?? 0)),
  };
  const nodes = countNodes(root);
  if (nodes > maxExpressionNodes) {
    throw new ExpressionError(`it has ${nodes} nodes with its macros expanded, limit is ${maxExpressionNodes}`);
  }
  refuseNestedComprehensions(parsed, root, false);
  return parsed;
}

/** The nodes directly below a node. */
function childrenOf({ exprKind }: Expr): readonly Expr[] {
  switch (exprKind.case) {
    case "selectExpr":
      return defined([exprKind.value.operand]);
    case "callExpr":
      return defined([exprKind.value.target, ...exprKind.value.args]);
    case "listExpr":
      return exprKind.value.elements;
    case "structExpr":
      return defined(
        exprKind.value.entries.flatMap(({ keyKind, value }) => [
          keyKind.case === "mapKey" ? keyKind.value : undefined,
          value,
        ]),
      );
    case "comprehensionExpr": {
      const { iterRange, accuInit, loopCondition, loopStep, result } = exprKind.value;
      return defined([iterRange, accuInit, loopCondition, loopStep, result]);
    }
    case "constExpr":
    case "identExpr":
    case undefined:
      return [];
  }
}

/** How many nodes a tree has. */
export function countNodes(expr: Expr): number {
  return childrenOf(expr).reduce((count, child) => count + countNodes(child), 1);
}

function checkLength(text: string): void {
  // A code point takes at most two code units: a cheap look first, so that a huge text is not walked.
  const length = text.length > 2 * maxExpressionLength ? text.length : [...text].length;
  if (length > maxExpressionLength) {
    throw new ExpressionError(`it is ${length} characters long, limit is ${maxExpressionLength}`);
  }
}

function parseText(text: string): ReturnType<typeof parse> {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof RangeError) throw new ExpressionError("it is nested too deeply");
    throw new ExpressionError(syntaxFault(error), syntaxPosition(error, text));
  }
}

/** The parser's own message lists every token it knows; what it stumbled over says more. */
function syntaxFault(error: unknown): string {
  const found = propertyOf(error, "found");
  if (typeof found === "string") return found === "" ? "it ends too early" : `unexpected ${JSON.stringify(found)}`;
  const message = propertyOf(error, "rawMessage") ?? propertyOf(error, "message");
  return typeof message === "string" ? message : "it cannot be parsed";
}

function syntaxPosition(error: unknown, text: string): string | undefined {
  const offset = propertyOf(propertyOf(propertyOf(error, "location"), "start"), "offset");
  return typeof offset === "number" ? positionAt(text, offset) : undefined;
}

function propertyOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

/** The parser places an operator at the blanks before it. */
function tokenStart(text: string, offset: number): number {
  return offset + text.slice(offset).search(/\S|$/);
}

function positionAt(text: string, offset: number): string {
  const lines = text.slice(0, offset).split(/\r\n|\r|\n/);
  return `${lines.length}:${(lines.at(-1) ?? "").length + 1}`;
}

function refuseNestedComprehensions(parsed: ParsedExpression, expr: Expr, isInBody: boolean): void {
  if (expr.exprKind.case !== "comprehensionExpr") {
    for (const child of childrenOf(expr)) refuseNestedComprehensions(parsed, child, isInBody);
    return;
  }
  if (isInBody) throw new ExpressionError("a comprehension stands inside another one's body", parsed.positionOf(expr));
  const { iterRange, loopStep } = expr.exprKind.value;
  if (iterRange !== undefined) refuseNestedComprehensions(parsed, iterRange, isInBody);
  if (loopStep !== undefined) refuseNestedComprehensions(parsed, loopStep, true);
}

function defined<Value>(values: readonly (Value | undefined)[]): readonly Value[] {
  return values.filter((value) => value !== undefined);
}
