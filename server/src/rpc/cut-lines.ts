/** The lines of a text, by what becomes of them. */
export interface TextLines {
  /** What it begins with, whatever else there is. */
  readonly head: readonly string[];
  /** What there may be too much of. */
  readonly lines: readonly string[];
  /** What it ends with. */
  readonly foot?: readonly string[];
}

/** How a text is cut. */
export interface CutLinesOptions {
  readonly maxCharacters: number;
  /** What makes a line a comment. */
  readonly comment: string;
}

/** The lines as one text: as many as there is room for, with a comment that says how many are left out. */
export function cutLines({ head, lines, foot = [] }: TextLines, { maxCharacters, comment }: CutLinesOptions): string {
  const note = (count: number) => `  ${comment} ${count} lines are left out`;
  let room = maxCharacters - [...head, note(lines.length), ...foot].join("\n").length - 2;
  const kept = lines.findIndex((line) => {
    room -= line.length + 1;
    return room < 0;
  });
  const shown = kept === -1 ? lines : [...lines.slice(0, kept), note(lines.length - kept)];
  return `${[...head, ...shown, ...foot].join("\n")}\n`;
}
