// Globs without regular expressions: `*` is any run of characters, `?` is one character, everything else is itself.
// When the text stops fitting, only the last `*` takes one character more: what an earlier one matched need never
// change, because the last one can take up whatever lies between (so the cost is at most text times pattern, and
// nothing backtracks exponentially).

const anyRun = -1;
const anyOne = -2;

/**
 * Compiles a glob to a test of whole texts. Case matters, characters are code points, nothing can be escaped.
 * One test costs at most the length of the text times the length of the pattern.
 */
export function compileGlob(pattern: string): (text: string) => boolean {
  if (!isGlob(pattern)) return (text) => text === pattern;
  const tokens = tokensOf(pattern);
  return (text) => matchesTokens(tokens, text);
}

/** Whether a pattern has a wildcard; without one it matches only itself. */
export function isGlob(pattern: string): boolean {
  return pattern.includes("*") || pattern.includes("?");
}

function tokensOf(pattern: string): readonly number[] {
  const tokens: number[] = [];
  for (const character of pattern) {
    if (character === "?") tokens.push(anyOne);
    else if (character !== "*") tokens.push(character.codePointAt(0) ?? 0);
    else if (tokens.at(-1) !== anyRun) tokens.push(anyRun);
  }
  return tokens;
}

function matchesTokens(tokens: readonly number[], text: string): boolean {
  let token = 0;
  let position = 0;
  let afterRun = -1;
  let runEnd = 0;
  while (position < text.length) {
    const wanted = tokens[token];
    const character = text.codePointAt(position) ?? 0;
    if (wanted === anyRun) {
      token += 1;
      afterRun = token;
      runEnd = position;
    } else if (wanted === anyOne || wanted === character) {
      token += 1;
      position += widthOf(character);
    } else if (afterRun >= 0) {
      runEnd += widthOf(text.codePointAt(runEnd) ?? 0);
      token = afterRun;
      position = runEnd;
    } else {
      return false;
    }
  }
  if (tokens[token] === anyRun) token += 1;
  return token === tokens.length;
}

function widthOf(codePoint: number): number {
  return codePoint > 0xffff ? 2 : 1;
}
