import type { Contents } from "./contents.js";

/** One bit of a file. */
export interface BitFlip {
  readonly file: string;
  readonly offset: number;
  /** From 0 to 7. */
  readonly bit: number;
}

/** What an inspector is to look at. */
export interface InspectorTask {
  /** The directory of the sound store. */
  readonly original: string;
  /** Where the damaged copy goes. */
  readonly place: string;
  readonly flip: BitFlip;
  /** What the sound store says. */
  readonly expected: Contents;
  /** Whether damage is taken for absence, to prove the check. */
  readonly ignoresDamage: boolean;
}

/** What came of a flip. */
export type FlipVerdict =
  | { readonly outcome: "harmless" }
  | { readonly outcome: "detected" | "crashed" | "hung" | "wrong"; readonly detail: string };
