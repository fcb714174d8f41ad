import { RE2JS } from "@bufbuild/re2";
import { maxPatternInstructions, maxPatternStates } from "../limits.js";
import { estimatePatternSize, foldsWideRange } from "./pattern-size.js";

/** The estimate may be too high by so much (a character class counts as its characters) without harm. */
const estimateTolerance = 10;

/** A pattern of `matches()`, compiled. */
export interface Pattern {
  /** Instructions of its program: a test costs at most the text's length times this. */
  readonly instructions: number;
  /** Whether any part of a text matches. */
  test(text: string): boolean;
}

/**
 * The patterns of one expression. RE2 takes time linear in the text, but it builds an automaton as it goes: its states
 * are limited, so that a pattern cannot take memory without bound; past the limit it goes on without the automaton.
 */
export class ExpressionPatterns {
  readonly #patterns = new Map<string, Pattern & { readonly regex: RE2JS }>();
  #instructions = 0;

  /** Compiles a pattern. Throws an Error that says why when it is malformed or all patterns together are too large. */
  add(source: string): void {
    if (this.#patterns.has(source)) return;
    if (foldsWideRange(source)) throw new Error("a pattern that ignores case has a range beyond ASCII");
    this.#refuseTooMany(this.#instructions + estimatePatternSize(source) / estimateTolerance);
    const regex = RE2JS.compile(source);
    const instructions = regex.re2().prog.numInst();
    this.#instructions += instructions;
    this.#refuseTooMany(this.#instructions);
    this.#patterns.set(source, { regex, instructions, test: (text) => regex.test(text) });
    this.#limitStates();
  }

  /** The pattern that was added as `source`. */
  find(source: string): Pattern | undefined {
    return this.#patterns.get(source);
  }

  /** States that the automata hold now. */
  get states(): number {
    return [...this.#patterns.values()].reduce((states, { regex }) => states + regex.re2().dfa.stateCount, 0);
  }

  #refuseTooMany(instructions: number): void {
    if (instructions <= maxPatternInstructions) return;
    throw new Error(`patterns compile to ${Math.ceil(instructions)} instructions, limit is ${maxPatternInstructions}`);
  }

  #limitStates(): void {
    const share = Math.max(1, Math.floor(maxPatternStates / this.#patterns.size));
    for (const { regex } of this.#patterns.values()) regex.re2().dfa.stateLimit = share;
  }
}
