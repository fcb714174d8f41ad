// What a pattern compiles to is known only when it has been compiled, and that can take a second: `x{0,1000}` ninety
// times over, or case folding of a range of a million characters. So its size is estimated first, in one pass. What
// looks like syntax inside a character class is taken for syntax: the estimate errs upwards.

const counter = /^\{(\d+)(?:,(\d*))?\}/;
const longestCounter = 12;
const wideRange = /-(?:\\x\{|[^\p{ASCII}])/u;
const ignoresCase = /\(\?[a-zA-Z]*i/;

/** Estimates how many instructions a pattern compiles to: its characters, repeated as often as its counters say. */
export function estimatePatternSize(source: string): number {
  const outer: number[] = [];
  let size = 0;
  let last = 0;
  for (let index = 0; index < source.length; index += 1) {
    const character = source[index];
    if (character === "(") {
      outer.push(size);
      size = 0;
      last = 0;
    } else if (character === ")") {
      last = size;
      size += outer.pop() ?? 0;
    } else if (character === "{") {
      const times = timesOf(source, index);
      size += last * (times - 1);
      last *= times;
    } else {
      if (character === "\\") index += 1;
      last = 1;
      size += 1;
    }
  }
  return outer.reduce((sum, unclosed) => sum + unclosed, size);
}

/** Whether a pattern ignores the case of a range that reaches beyond ASCII: every character of it would be folded. */
export function foldsWideRange(source: string): boolean {
  return ignoresCase.test(source) && wideRange.test(source);
}

function timesOf(source: string, index: number): number {
  const found = counter.exec(source.slice(index, index + longestCounter));
  return found === null ? 1 : Math.max(1, Number(found[1]), Number(found[2] ?? 0));
}
