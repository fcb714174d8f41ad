// Finds or installs the programs that the interop tests speak to the server with, and notes for the tests where each is,
// or why it is missing. What is installed stays in .cache beside this file. Details go to .cache/install.log.
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { findBuf } from "./toolchain/buf.mjs";
import { findCurl } from "./toolchain/curl.mjs";
import { installGrpcurl } from "./toolchain/grpcurl.mjs";
import { installPython } from "./toolchain/python.mjs";

const cache = fileURLToPath(new URL(".cache", import.meta.url));
mkdirSync(cache, { recursive: true });

const tools = {
  buf: findBuf(),
  curl: findCurl(),
  grpcurl: installGrpcurl(cache),
  python: installPython(cache),
};
for (const [name, { path, reason }] of Object.entries(tools)) {
  console.log(path === undefined ? `${name}: skipped, ${reason}` : `${name}: ${path}`);
}
writeFileSync(new URL(".cache/toolchain.json", import.meta.url), JSON.stringify(tools, null, 2));
