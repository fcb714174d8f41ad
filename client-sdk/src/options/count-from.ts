import { checkNumber, countRule } from "./check-number.js";

/** Makes the contract's count of an option, 0 where it was left out and the server's default is meant. Throws InvalidRequestError. */
export function countFrom(name: string, count: number | undefined): number {
  checkNumber(name, count, countRule);
  return count ?? 0;
}
