/** One number of a program's size. */
export interface FaultSetting {
  /** What it counts, in a few words. */
  readonly about: string;
  /** Its default for a run with every change. */
  readonly short: number;
  /** Its default for a run of a night, with `--deep`. */
  readonly deep: number;
}

/** What a program's command line can say, beside what every program's can. */
export interface FaultCommand<Setting extends string> {
  readonly name: string;
  /** What it does, in a sentence or two. */
  readonly about: string;
  /** By the name of their flag. */
  readonly settings: Readonly<Record<Setting, FaultSetting>>;
  /** The kinds of store that it can test, where it knows several. The first is the default. */
  readonly stores?: readonly string[];
  /** The bugs that it can find. */
  readonly plantedBugs: readonly string[];
}

/** What a command line has asked for. */
export interface FaultArguments<Setting extends string> {
  readonly seed: number;
  readonly isDeep: boolean;
  readonly plantedBug: string | undefined;
  /** The kind of store to test; undefined for a program that knows but one. */
  readonly store: string | undefined;
  readonly sizes: Readonly<Record<Setting, number>>;
}

/** A command line that cannot be understood. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const greatestSeed = 2 ** 32 - 1;
const greatestSize = 1_000_000_000;

/** Reads a command line; "help" when that is what it asks for. Throws UsageError. */
export function parseFaultArguments<Setting extends string>(
  command: FaultCommand<Setting>,
  args: readonly string[],
): FaultArguments<Setting> | "help" {
  if (args.includes("--help")) return "help";
  const isDeep = args.includes("--deep");
  const names = Object.keys(command.settings) as Setting[];
  const { plantedBugs, stores = [] } = command;
  const choices = [...(plantedBugs.length > 0 ? ["--plant"] : []), ...(stores.length > 0 ? ["--store"] : [])];
  const given = valuesOf(
    args.filter((argument) => argument !== "--deep"),
    [...names.map((name) => `--${name}`), "--seed", ...choices],
  );
  const seed = given.get("--seed");
  const sizes = names.map((name): [Setting, number] => {
    const text = given.get(`--${name}`);
    const { short, deep } = command.settings[name];
    if (text === undefined) return [name, isDeep ? deep : short];
    return [name, wholeNumber(`--${name}`, text, { least: 1, greatest: greatestSize })];
  });
  return {
    seed:
      seed === undefined
        ? Math.floor(Math.random() * (greatestSeed + 1))
        : wholeNumber("--seed", seed, { least: 0, greatest: greatestSeed }),
    isDeep,
    plantedBug: oneOf("bug", given.get("--plant"), plantedBugs),
    store: oneOf("store", given.get("--store"), stores) ?? stores[0],
    sizes: Object.fromEntries(sizes) as Record<Setting, number>,
  };
}

/** Tells what a program does and every flag it has. */
export function helpOf({ name, about, settings, stores = [], plantedBugs }: FaultCommand<string>): string {
  const kinds = stores.length === 0 ? [] : [["--store KIND", `the store: ${stores.join(", ")} (default ${stores[0]})`]];
  const bugs = plantedBugs.length === 0 ? [] : [["--plant BUG", `plant a bug, to be found: ${plantedBugs.join(", ")}`]];
  const flags = [
    ...Object.entries<FaultSetting>(settings).map(([setting, { about: what, short, deep }]) => [
      `--${setting} N`,
      `${what} (default ${count(short)}; ${count(deep)} with --deep)`,
    ]),
    ...kinds,
    ["--seed N", "the seed of all chance, which repeats a run (default: another one each time)"],
    ["--deep", "the size of a night"],
    ...bugs,
    ["--help", "print this help"],
  ];
  const width = Math.max(...flags.map(([flag = ""]) => flag.length));
  const lines = flags.map(([flag = "", what = ""]) => `  ${flag.padEnd(width)}  ${what}`);
  return [`Usage: npm run test:faults -- ${name} [flags]`, "", about, "", ...lines].join("\n");
}

function valuesOf(args: readonly string[], flags: readonly string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (let index = 0; index < args.length; index += 2) {
    const [flag = "", value] = args.slice(index, index + 2);
    if (!flags.includes(flag)) {
      throw new UsageError(`argument "${flag}" is not one of ${[...flags, "--deep", "--help"].join(", ")}`);
    }
    if (value === undefined) throw new UsageError(`flag ${flag} lacks its value`);
    values.set(flag, value);
  }
  return values;
}

function oneOf(what: string, text: string | undefined, choices: readonly string[]): string | undefined {
  if (text === undefined || choices.includes(text)) return text;
  throw new UsageError(`${what} "${text}" is not one of ${choices.join(", ")}`);
}

function wholeNumber(flag: string, text: string, range: { readonly least: number; readonly greatest: number }): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= range.least && value <= range.greatest) return value;
  throw new UsageError(`${flag} is "${text}", it must be a whole number from ${range.least} to ${range.greatest}`);
}

function count(value: number): string {
  return value.toLocaleString("en");
}
