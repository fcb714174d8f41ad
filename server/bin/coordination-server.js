#!/usr/bin/env node
// Committed JavaScript, so that installing the package links it before there is a build.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const build = new URL("../dist/main.js", import.meta.url);

if (existsSync(fileURLToPath(build))) {
  const { main } = await import(build.href);
  await main();
} else {
  console.error("coordination-server: not built yet, run: npm run build");
  process.exitCode = 1;
}
