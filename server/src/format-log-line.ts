const levelNames: Readonly<Record<number, string>> = {
  10: "TRACE",
  20: "DEBUG",
  30: "INFO",
  40: "WARN",
  50: "ERROR",
  60: "FATAL",
};

/** Fields that are shown elsewhere in the line, or that one process has no use for. */
const hiddenFields = new Set(["level", "time", "msg", "pid", "hostname", "name", "err"]);

/** Turns one line of the JSON log into one for people: time, level, message, `field=value`, and the stack of an error below. */
export function formatLogLine(line: string): string {
  const entry = JSON.parse(line) as Record<string, unknown>;
  const time = new Date(Number(entry["time"])).toISOString().slice(11, 23);
  const level = levelNames[Number(entry["level"])] ?? "?";
  const fields = Object.entries(entry)
    .filter(([name]) => !hiddenFields.has(name))
    .map(([name, value]) => ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return `${time} ${level.padEnd(5)} ${entry["msg"] ?? ""}${fields.join("")}${stackOf(entry["err"])}\n`;
}

function stackOf(error: unknown): string {
  if (typeof error !== "object" || error === null) return "";
  const { stack, message } = error as { readonly stack?: unknown; readonly message?: unknown };
  return `\n${stack ?? message ?? ""}`;
}
