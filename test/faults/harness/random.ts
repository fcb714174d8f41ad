/** A source of repeatable chance: the same seed gives the same run, as far as the machine's own timing lets it. */
export interface Random {
  /** A number from 0 to below 1. */
  fraction(): number;
  /** A whole number from `least` to `greatest`, both included. */
  integer(least: number, greatest: number): number;
  /** Whether something that happens with this probability happens. */
  chance(probability: number): boolean;
  /** One of several. */
  pick<T>(choices: readonly [T, ...T[]]): T;
  /** All of them, in an order of chance. */
  shuffled<T>(items: readonly T[]): readonly T[];
  /** Another source, which does not depend on how often this one was asked. */
  fork(label: string): Random;
}

/** Makes a source of chance from a seed: mulberry32, which is small and good enough to choose faults. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (least: number, greatest: number): number => least + Math.floor(fraction() * (greatest - least + 1));
  return {
    fraction,
    integer,
    chance: (probability) => fraction() < probability,
    pick: (choices) => choices[Math.floor(fraction() * choices.length)] ?? choices[0],
    shuffled: (items) => {
      const rest = [...items];
      return items.flatMap(() => rest.splice(integer(0, rest.length - 1), 1));
    },
    fork: (label) => randomFrom(seedFromText(`${seed}:${label}`)),
  };
}

/** FNV-1a, 32 bits. */
function seedFromText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
