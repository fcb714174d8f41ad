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
  const offsetOf = (expr: Expr) => tokenStart(text, sourceInfo?.positions[String(expr.id)] ?? 0);
  const parsed = { root, positionOf: (expr: Expr) => positionAt(text, offsetOf(expr)) };
  checkNodes(text, nodesOf(root).map(offsetOf));
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

/** All nodes of a tree. */
export function nodesOf(expr: Expr): readonly Expr[] {
  return [expr, ...childrenOf(expr).flatMap(nodesOf)];
}

function checkLength(text: string): void {
  // A code point takes at most two code units: a cheap look first, so that a huge text is not walked.
  const length = text.length > 2 * maxExpressionLength ? text.length : [...text].length;
  if (length <= maxExpressionLength) return;
  const fitting = [...text.slice(0, 2 * maxExpressionLength)].slice(0, maxExpressionLength).join("");
  const message = `it is ${length} characters long, limit is ${maxExpressionLength}`;
  throw new ExpressionError(message, positionAt(text, fitting.length));
}

/** Takes where the nodes stand, and blames the first one in the text that is too many. */
function checkNodes(text: string, offsets: readonly number[]): void {
  const excess = [...offsets].sort((left, right) => left - right)[maxExpressionNodes];
  if (excess === undefined) return;
  const message = `it has ${offsets.length} nodes with its macros expanded, limit is ${maxExpressionNodes}`;
  throw new ExpressionError(message, positionAt(text, excess));
}

function parseText(text: string): ReturnType<typeof parse> {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof RangeError)
      throw new ExpressionError(rangeFault(error), positionAt(text, tokenStart(text, 0)));
    throw new ExpressionError(syntaxFault(error), syntaxPosition(error, text));
  }
}

/** The parser has no error of its own for these two: its stack is full, or an escape is made a character that is none. */
function rangeFault({ message }: RangeError): string {
  return message.startsWith("Invalid code point") ? "a text has an escape of no character" : "it is nested too deeply";
}

/** The parser's own message lists every token it knows; what it stumbled over says more. */
function syntaxFault(error: unknown): string {
  const found = propertyOf(error, "found");
  if (typeof found === "string") return found === "" ? "it ends too early" : `unexpected ${JSON.stringify(found)}`;
  const message = propertyOf(error, "rawMessage") ?? propertyOf(error, "message");
  return typeof message === "string" ? message : "it cannot be parsed";
}

function syntaxPosition(error: unknown, text: string): string {
  const offset = propertyOf(propertyOf(propertyOf(error, "location"), "start"), "offset");
  return positionAt(text, typeof offset === "number" ? offset : tokenStart(text, 0));
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
