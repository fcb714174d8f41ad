/** Reads JSON objects that follow each other, each printed over several lines with its braces at the start of a line. */
export function parseJsonStream(text: string): readonly unknown[] {
  return text
    .split(/(?<=^\})\s*$/m)
    .filter((part) => part.trim() !== "")
    .map((part): unknown => JSON.parse(part));
}
