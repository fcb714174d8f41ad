/** The longest reason that the contract takes, in characters. */
const maxReasonLength = 1_024;

/** Says why a handler has failed, in words that the contract takes. */
export function reasonFrom(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  // There and back replaces what no text may hold: half of a character.
  const wellFormed = new TextDecoder().decode(new TextEncoder().encode(text));
  return Array.from(wellFormed).slice(0, maxReasonLength).join("");
}
