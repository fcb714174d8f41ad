/** How a log that is read can be wrong. */
export type LogViolationKind = "lost" | "duplicated" | "reordered" | "shown before durable";

/** Says that what was read of a log is not what was to be read. */
export class LogViolation extends Error {
  readonly kind: LogViolationKind;

  constructor(kind: LogViolationKind, message: string) {
    super(message);
    this.name = "LogViolation";
    this.kind = kind;
  }
}

/** Checks that exactly these names were read, in this order. `where` says who read what. Throws LogViolation. */
export function checkSame(where: string, actual: readonly string[], expected: readonly string[]): void {
  if (actual.length === expected.length && actual.every((name, index) => name === expected[index])) return;
  const missing = expected.filter((name) => !actual.includes(name));
  const extra = actual.filter((name, index) => !expected.includes(name) || actual.indexOf(name) !== index);
  const found = `${where}: got [${shortened(actual)}] instead of [${shortened(expected)}]`;
  if (missing.length > 0) throw new LogViolation("lost", found);
  if (extra.length > 0) throw new LogViolation("duplicated", found);
  throw new LogViolation("reordered", found);
}

const maxNames = 40;

function shortened(names: readonly string[]): string {
  const rest = names.length - maxNames;
  return names.slice(0, maxNames).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
