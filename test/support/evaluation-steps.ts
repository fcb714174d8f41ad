import { EvaluationMeter } from "../../server/src/model/expression/evaluation-meter.js";

/** What the evaluations in this process take, in the steps that they are charged. Disposing of it ends the watch. */
export interface EvaluationSteps extends Disposable {
  /** Since the watch began. */
  readonly total: number;
  /** The most that were taken while nothing else could run; up to those of two turns, for others' callbacks stand between. */
  readonly mostInARow: number;
}

/** Watches the evaluations of a server that runs in this process. */
export function watchEvaluationSteps(): EvaluationSteps {
  const { charge } = EvaluationMeter.prototype;
  let [total, inARow, mostInARow] = [0, 0, 0];
  EvaluationMeter.prototype.charge = function (steps) {
    total += steps;
    inARow += steps;
    mostInARow = Math.max(mostInARow, inARow);
    charge.call(this, steps);
  };
  const nextTurn = (): void => {
    inARow = 0;
    immediate = setImmediate(nextTurn);
  };
  let immediate = setImmediate(nextTurn);
  return {
    get total() {
      return total;
    },
    get mostInARow() {
      return mostInARow;
    },
    [Symbol.dispose]: () => {
      clearImmediate(immediate);
      EvaluationMeter.prototype.charge = charge;
    },
  };
}
