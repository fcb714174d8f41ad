import { invalidOption } from "../errors/invalid-option.js";

const maxSequence = 2n ** 63n - 1n;

/** Checks a sequence that was given. Throws InvalidRequestError that names it. */
export function checkSequence(name: string, sequence: bigint | undefined): void {
  // Whoever calls from JavaScript can pass anything.
  if (sequence === undefined || (typeof sequence === "bigint" && sequence >= 0n && sequence <= maxSequence)) return;
  throw invalidOption(`${name} is ${String(sequence)}, it must be a bigint from 0n to ${maxSequence}n`);
}
