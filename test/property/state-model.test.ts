import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import {
  idleCoordinations,
  modelRetentionSignals,
  runStateCommands,
  stateCommands,
} from "../support/models/state-commands.js";
import { stages } from "../support/random-interleaving.js";

const maxCommands = 30;
/** A run is short beside those of the other properties. */
const runsFactor = 3;

// The fault program of the same name runs more of them.
describe.each(stages)("the state $name", ({ open, runs }) => {
  test("is what the signals that remain decide, whatever is sent, rolled back, trimmed, closed and removed", async () => {
    let checkedSignals = 0;
    await fc.assert(
      fc.asyncProperty(stateCommands(maxCommands), idleCoordinations, async (commands, maxIdle) => {
        await using stage = await open(modelRetentionSignals, maxIdle);
        checkedSignals += await runStateCommands(stage, commands);
      }),
      { numRuns: runs * runsFactor },
    );
    expect(checkedSignals).toBeGreaterThan(0);
  });
});
