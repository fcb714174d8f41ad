import { z } from "zod";

/** How the text of a flag becomes its value, and what is said when it does not. */
export interface FlagValue<Value> {
  /** Stands for the value in the help, for example `<duration>`. */
  readonly placeholder: string;
  /** What is allowed, to complete "allowed is ...". */
  readonly allowed: string;
  readonly schema: z.ZodType<Value, string>;
}

/** A whole number from `least` to `most`. */
export function wholeNumber(least: number, most: number): FlagValue<number> {
  return {
    placeholder: "<number>",
    allowed: `a whole number from ${least} to ${most}`,
    schema: z
      .string()
      .regex(/^\d{1,15}$/)
      .transform(Number)
      .pipe(z.number().min(least).max(most)),
  };
}

/** One of several words. */
export function oneOf<const Word extends string>(placeholder: string, words: readonly Word[]): FlagValue<Word> {
  return {
    placeholder,
    allowed: `one of ${words.join(", ")}`,
    schema: z.enum(words) as z.ZodType<Word, string>,
  };
}

/** Text of at least one character and no blanks. */
export function word(placeholder: string, allowed: string): FlagValue<string> {
  return { placeholder, allowed, schema: z.string().regex(/^\S+$/) };
}

const millisecondsPerUnit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** A span of time such as `500ms`, `5s`, `2m` or `1h`, in milliseconds; both bounds are given in the same form. */
export function duration(least: string, most: string): FlagValue<number> {
  const leastMs = durationMs.parse(least);
  const mostMs = durationMs.parse(most);
  return {
    placeholder: "<duration>",
    allowed: `a duration from ${least} to ${most}, such as 500ms, 5s, 2m or 1h`,
    schema: durationMs.pipe(z.number().min(leastMs).max(mostMs)),
  };
}

/** A span of time as `duration` takes it, or `off`, which is undefined. */
export function durationOrOff(least: string, most: string): FlagValue<number | undefined> {
  const span = duration(least, most);
  const off = z.literal("off").transform(() => undefined);
  return { placeholder: span.placeholder, allowed: `off, or ${span.allowed}`, schema: z.union([off, span.schema]) };
}

const durationMs = z
  .string()
  .regex(/^\d{1,9}(ms|s|m|h)$/)
  .transform((text) => {
    const unit = text.replace(/^\d+/, "") as keyof typeof millisecondsPerUnit;
    return Number.parseInt(text, 10) * millisecondsPerUnit[unit];
  });

/** Where signals are kept: `memory:`, `lmdb:DIRECTORY` or a URL of PostgreSQL, as it was given. */
export const storeUrl: FlagValue<string> = {
  placeholder: "<store>",
  allowed: "memory: (lost when the process ends), lmdb:DIRECTORY or postgres://USER:PASSWORD@HOST:PORT/DATABASE",
  schema: z.string().regex(/^(memory:|lmdb:.+|postgres(ql)?:\/\/.+)$/),
};

/** A comma-separated list of a signal's paths, nothing for none. Commas in a key that stands in backticks are the key's. */
export const pathList: FlagValue<readonly string[]> = {
  placeholder: "<paths>",
  allowed: "a comma-separated list of paths such as payload.token",
  schema: z
    .string()
    .transform((text) => Array.from(text.matchAll(listedPath), ([path]) => path.trim()))
    .transform((paths) => paths.filter((path) => path !== "")),
};

/** A backtick quotes where a part of a path begins. */
const listedPath = /(?:(?<=^\s*|,\s*|\.)`[^`]*`|[^,])+/g;

/** The path of a file; nothing, which is undefined, for none. */
export const optionalFile: FlagValue<string | undefined> = {
  placeholder: "<file>",
  allowed: "the path of a file",
  schema: z.string().transform((text) => (text === "" ? undefined : text)),
};

/** A comma-separated list of web origins, `*` for all, nothing for none. */
export const originList: FlagValue<readonly string[]> = {
  placeholder: "<origins>",
  allowed: "a comma-separated list of origins such as https://example.com, or *",
  schema: z
    .string()
    .transform((text) => text.split(",").map((origin) => origin.trim()))
    .transform((origins) => origins.filter((origin) => origin !== ""))
    .pipe(z.array(z.string().refine(isOrigin))),
};

function isOrigin(text: string): boolean {
  if (text === "*") return true;
  return URL.canParse(text) && new URL(text).origin === text;
}
