/** Renders a table; cells must hold no line breaks. Columns after the first are numbers, set to the right, unless told. */
export function renderTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  alignment: "left" | "right" = "right",
): string {
  const rule = head.map((_, column) => (column === 0 || alignment === "left" ? "---" : "---:"));
  return `${[head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}
