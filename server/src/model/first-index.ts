/**
 * The first index at which `isBefore` does not hold, of those from `from` on and below `length`; `length` where it holds for all. It
 * holds for a stretch at the beginning, if at all: what is in order is searched by halves.
 */
export function firstIndexNot(length: number, isBefore: (index: number) => boolean, from = 0): number {
  let low = from;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
