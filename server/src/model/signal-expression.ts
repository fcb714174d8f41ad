// An expression is CEL (https://cel.dev) over one variable, `signal`. It comes from a client and runs once for each
// signal, so it is checked as far as possible when it is compiled, and metered when it runs: its time is bounded whatever
// the expression and the signal are.
import { type CelType, type CelValue, celEnv, isCelError, plan } from "@bufbuild/cel";
import { createRegistry } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { type CoordinationSignal, CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import { CoordinationError } from "./coordination-error.js";
import { EvaluationMeter } from "./expression/evaluation-meter.js";
import { EvaluationTurns } from "./expression/evaluation-turns.js";
import { checkExpression } from "./expression/expression-checker.js";
import { nodesOf, parseExpression } from "./expression/expression-syntax.js";
import { meterExpression } from "./expression/metered-expression.js";
import { type EvaluationState, meteredFunctions } from "./expression/metered-functions.js";
import { patternFunctions } from "./expression/pattern-functions.js";
import { signalDeclarations, signalVariables, structFieldNames } from "./expression/signal-declarations.js";
import { StructValues } from "./expression/struct-value.js";
import { maxExpressionSteps } from "./limits.js";

/** An expression that is ready to run. */
export interface SignalExpression {
  /**
   * The expression's value for a signal; undefined when it has none (a key that is not there, a division by zero). Unset
   * fields have their type's default, as CEL says: use `has()`. Throws FILTER_BUDGET_EXCEEDED with metadata `part` when the
   * evaluation would take more than `maxExpressionSteps`.
   */
  evaluate(signal: CoordinationSignal): CelValue | undefined;
}

/** What an expression is compiled for. */
export interface ExpressionPurpose {
  /** The type that its value must have; a value of which only the signal tells the type passes. */
  readonly resultType: CelType;
  /** What an error says it is, for example `filter expression`. */
  readonly name: string;
  /** The part of the request that it is, for an error's metadata. */
  readonly part: string;
}

/** Compiles expressions. One serves all of a process: evaluations do not overlap. */
export class SignalExpressionCompiler {
  /** Counts what the evaluations of all its expressions take. */
  readonly turns = new EvaluationTurns();
  readonly #state: EvaluationState;
  readonly #env;
  readonly #declarations;
  readonly #structFields = structFieldNames();

  constructor() {
    const meter = new EvaluationMeter();
    this.#state = { meter, structs: new StructValues(meter), patterns: undefined };
    const standard = celEnv({ funcs: [...patternFunctions(this.#state)] });
    this.#declarations = signalDeclarations(standard);
    this.#env = celEnv({
      registry: createRegistry(CoordinationSignalSchema.file),
      funcs: [...meteredFunctions(standard, this.#state)],
      variables: signalVariables,
    });
  }

  /** Has all evaluations in a piece of work take no more steps together than one may. */
  onOneBudget<T>(work: () => T): T {
    return this.#state.meter.share(work);
  }

  /** Compiles an expression. Throws ExpressionError. */
  compile(text: string, purpose: ExpressionPurpose): SignalExpression {
    const checked = checkExpression(parseExpression(text), this.#declarations, purpose.resultType);
    const program = plan(this.#env, meterExpression(checked, this.#structFields));
    const nodes = nodesOf(checked.root).length;
    const state = this.#state;
    const { turns } = this;
    return {
      evaluate(signal) {
        state.meter.start();
        const { left } = state.meter;
        state.patterns = checked.patterns;
        const result = withoutStackTraces(() => program({ signal: reflect(CoordinationSignalSchema, signal, false) }));
        state.structs.clear();
        // What is done once for each node is bounded by their number; over many signals it adds up.
        turns.spend(nodes + left - state.meter.left);
        if (state.meter.isExhausted) throw budgetExceeded(signal, purpose);
        return isCelError(result) ? undefined : result;
      },
    };
  }
}

/** A key that is not there is an Error to the evaluator: common, dropped at once, and ten times dearer with its stack. */
function withoutStackTraces<Result>(evaluate: () => Result): Result {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return evaluate();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function budgetExceeded({ sequence }: CoordinationSignal, { name, part }: ExpressionPurpose): CoordinationError {
  return new CoordinationError(
    "FILTER_BUDGET_EXCEEDED",
    `${name} takes too many steps for signal ${sequence}, limit is ${maxExpressionSteps}`,
    { metadata: { part, sequence: String(sequence), limit_steps: String(maxExpressionSteps) } },
  );
}
