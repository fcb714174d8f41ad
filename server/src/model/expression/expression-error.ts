/** Why an expression cannot be used. Whoever wanted it says for what, in an error of its own. */
export class ExpressionError extends Error {
  override readonly name = "ExpressionError";
  /** The place that is to blame, as `line:column`, both from 1. */
  readonly position: string;

  constructor(message: string, position: string) {
    super(message);
    this.position = position;
  }

  /** What is wrong and where, to follow the name of what the expression is for. */
  get description(): string {
    return `at ${this.position}: ${this.message}`;
  }
}
