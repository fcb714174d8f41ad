import { setTimeout } from "node:timers/promises";

const intervalMs = 20;
const maxAttempts = 750;

/**
 * Runs `check` until it does not throw and returns its value: for what becomes true without a message that says so, such as a
 * counter that goes back to zero. Fails with the last failure after 750 attempts, 15 seconds or more.
 */
export async function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await check();
    } catch (error) {
      if (attempt === maxAttempts) throw error;
    }
    await setTimeout(intervalMs);
  }
}
