import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The project's README. */
export const readmeText = readFileSync(fileURLToPath(new URL("../../README.md", import.meta.url)), "utf8");

/** A fenced block of code of the README. */
export interface ReadmeBlock {
  /** For example "ts" or "sh". */
  readonly language: string;
  /** The heading it stands under. */
  readonly heading: string;
  readonly text: string;
}

/** A README's blocks of code, in order; by default the project's. */
export function readmeBlocks(markdown = readmeText): readonly ReadmeBlock[] {
  const blocks: ReadmeBlock[] = [];
  let heading = "";
  for (const [, title, language, text] of markdown.matchAll(/^#+ (.+)$|^```(\w*)\n([\s\S]*?)^```$/gm)) {
    if (title !== undefined) heading = title;
    else blocks.push({ language: language ?? "", heading, text: text ?? "" });
  }
  return blocks;
}

/** A block's text with another server in the place of the default one. */
export function atServer(text: string, port: number): string {
  return text.replaceAll("localhost:50051", `localhost:${port}`);
}
