import { setImmediate } from "node:timers/promises";

/** Lets everything run that is ready to: several turns of the event loop. For proving that something does not happen. */
export async function settle(turns = 5): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await setImmediate();
}
