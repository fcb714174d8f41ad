import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describePrograms } from "../support/readme-programs.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** What each program of the README prints, in its order. */
const PRINTED = [
  "UserModel\n",
  "1n\n",
  "[ 1n, 2n ]\nAGENT_NOT_FOUND\n2n\n",
  "UserModel\n1 model\ntrue\n",
  "User: attempt 1, still its own: true\nOrder: attempt 2, still its own: true\ngiven up: 2, no such type\n1n\nRecursive: attempt 1\n",
  "{ of: 'User' }\n[ 3n, undefined, 2n ]\ncontract-parser\n",
  "0.95\n1 undefined\n1n\n1n\n",
  "[ 'model-generator: 3 of 5 models' ]\n",
  "CURSOR_AHEAD: going on after 1\n",
];

describePrograms("the SDK's README", PRINTED, readFileSync(join(ROOT, "client-sdk", "README.md"), "utf8"));
