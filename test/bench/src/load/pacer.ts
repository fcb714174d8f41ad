/** Calls back at a steady rate, by a timetable that a late call does not shift. Bounded by `count`. */
export async function pace(options: {
  readonly count: number;
  readonly perSecond: number;
  readonly call: (index: number) => void;
}): Promise<void> {
  const start = performance.now();
  for (let index = 0; index < options.count; index += 1) {
    const wait = start + (index * 1_000) / options.perSecond - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    options.call(index);
  }
}
