/** Compares keys by their bytes in UTF-8, as other stores do; without making the bytes. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const unit = a.charCodeAt(index);
    const other = b.charCodeAt(index);
    if (unit !== other) return place(unit) - place(other);
  }
  return a.length - b.length;
}

/** Surrogates stand for characters behind all that UTF-16 says in one unit. */
function place(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}
