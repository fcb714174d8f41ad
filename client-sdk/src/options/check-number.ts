import { invalidOption } from "../errors/invalid-option.js";

/** Which numbers an option takes; NaN is none of them. */
export interface NumberRule {
  readonly text: string;
  readonly allows: (value: number) => boolean;
}

/** The greatest whole number of the contract's 32 bits. */
const maxCount = 2 ** 31 - 1;

/** For what the contract counts. It takes 0 for the default, which is not what somebody who writes 0 means. */
export const countRule: NumberRule = {
  text: "a whole number from 1",
  allows: (value) => Number.isInteger(value) && value >= 1 && value <= maxCount,
};

/** As `countRule`, where none is a number too. */
export const countOrNoneRule: NumberRule = {
  text: "a whole number from 0",
  allows: (value) => value === 0 || countRule.allows(value),
};

/** For a bound within this package, which need not be one. */
export const boundRule: NumberRule = {
  text: "a whole number from 1, or Infinity",
  allows: (value) => value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && value >= 1),
};

/** As `boundRule`, where nothing is a bound too. */
export const boundOrNoneRule: NumberRule = {
  text: "a whole number from 0, or Infinity",
  allows: (value) => value === 0 || boundRule.allows(value),
};

/** For how long something may take. */
export const timeoutRule: NumberRule = {
  text: "greater than 0 and finite",
  allows: (value) => value > 0 && value <= Number.MAX_SAFE_INTEGER,
};

/** For a span, or an amount: zero is one. */
export const amountRule: NumberRule = {
  text: "finite and at least 0",
  allows: (value) => value >= 0 && value <= Number.MAX_SAFE_INTEGER,
};

/** For a span that need not end. */
export const endlessRule: NumberRule = { text: "at least 0", allows: (value) => value >= 0 };

/** Checks an option that was given. Throws InvalidRequestError that names it: found later, nobody would know which it was. */
export function checkNumber(name: string, value: number | undefined, { text, allows }: NumberRule): void {
  // Whoever calls from JavaScript can pass anything.
  if (value === undefined || (typeof value === "number" && allows(value))) return;
  throw invalidOption(`${name} is ${shown(value)}, it must be ${text}`);
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
