import type { CelValue } from "@bufbuild/cel";

/** Characters or bytes that are compared, copied or counted in one step. */
const unitsPerStep = 256;

/** What it takes to walk through a text or bytes; nothing for other values. */
export function textSteps(value: CelValue): number {
  return typeof value === "string" || value instanceof Uint8Array ? value.length / unitsPerStep : 0;
}
