/*
 * The contract's rules for names, for those who check quickly whether a request keeps them: never more lenient than the rules.
 * Lengths in UTF-16 units, which is what is counted here, are never below those in characters.
 */

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._:/-]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the rule of the contract
const controlCharacters = /[\x00-\x1f\x7f]/;

/** As of ids, names and what is bounded like them. */
export const maxIdLength = 200;

/** Whether a text may name a coordination, an agent or a kind of dependency. */
export function isId(text: string): boolean {
  return text.length <= maxIdLength && idPattern.test(text);
}

/** Whether each of these may, none stands there twice, and they are no more than so many. */
export function areIds(ids: readonly string[], maxCount: number): boolean {
  if (ids.length === 0) return true;
  if (ids.length > maxCount || !ids.every(isId)) return false;
  return ids.length === 1 || new Set(ids).size === ids.length;
}

/** Whether a text may name a dependency. */
export function isName(text: string): boolean {
  return text !== "" && text.length <= maxIdLength && !controlCharacters.test(text);
}
