// Writes the table of the server's flags into the README: `npm run readme`, after a change of the flags.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { renderFlagTable } from "../../server/dist/config.js";

const path = fileURLToPath(new URL("../../README.md", import.meta.url));
const table = /(?<=<!-- flags, written by npm run readme -->\n)[\s\S]*?(?=<!-- end of flags -->)/;

writeFileSync(
  path,
  readFileSync(path, "utf8").replace(table, () => `\n${renderFlagTable()}\n`),
);
