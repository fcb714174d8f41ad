import type { Random } from "../harness/random.js";

/** How bytes pass for as long as a connection lasts. */
const manners = ["at once", "late", "byte by byte"] as const;
/** How a connection goes bad. What is lost silently is lost for one side, or for both, and stays so. */
export const endings = ["reset", "fin", "torn frame", "server lost", "client lost", "black hole"] as const;

export type Manner = (typeof manners)[number];
export type Ending = (typeof endings)[number];

/** What becomes of one connection through a proxy. */
export interface Fate {
  readonly manner: Manner;
  /** How long bytes are on their way when they are late. */
  readonly delayMs: number;
  readonly ending: Ending;
  /** How many bytes pass before it ends, both directions together. */
  readonly afterBytes: number;
}

// From the middle of what opens a connection to some time after the first signals, as likely at each order of magnitude.
const fewestBytesLog2 = 9;
const mostBytesLog2 = 18;
const maxDelayMs = 40;

/** Decides what becomes of a connection. */
export function drawFate(random: Random): Fate {
  const log2 = fewestBytesLog2 + random.fraction() * (mostBytesLog2 - fewestBytesLog2);
  return {
    manner: random.pick(manners),
    delayMs: random.integer(1, maxDelayMs),
    ending: random.pick(endings),
    afterBytes: Math.floor(2 ** log2),
  };
}
