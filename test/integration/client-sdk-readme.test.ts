import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";
import {
  maxExpressionLength,
  maxExpressionNodes,
  maxExpressionSteps,
  maxPatternInstructions,
  maxReadMaskPaths,
} from "../../server/src/model/limits.js";
import { describePrograms } from "../support/readme-programs.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** What each program of the README prints, in its order. */
const PRINTED = [
  "UserModel\n",
  "1n\n",
  "[ 1n, 2n ]\nAGENT_NOT_FOUND\n2n\n",
  "UserModel\n1 model\ntrue\n",
  "ci is ready { token: '[redacted]', user: 'ci' } {}\n",
  "User: attempt 1, still its own: true\nOrder: attempt 2, still its own: true\ngiven up: 2, no such type\n1n\nRecursive: attempt 1\n",
  "{ of: 'User' }\n[ 3n, undefined, 2n ]\ncontract-parser\n",
  "0.95\n1 undefined\n1n\n1n\n",
  "[ 'model-generator: 3 of 5 models' ]\n",
  "CURSOR_AHEAD: going on after 1\n",
];

describePrograms("the SDK's README", PRINTED, readFileSync(join(ROOT, "client-sdk", "README.md"), "utf8"));

const size = `${inWords(maxExpressionLength)} characters and ${inWords(maxExpressionNodes)} nodes`;
const time = `${inWords(maxExpressionSteps)} steps`;
const paths = `${inWords(maxReadMaskPaths)} paths`;

test.each([
  ["README.md", [size, time]],
  ["client-sdk/README.md", [size, time, paths, `${inWords(maxPatternInstructions)} instructions`]],
  ["proto/coordination/v1/signal.proto", [size, time, paths]],
])("%s tells the limits of expressions as they are", (file, limits) => {
  const words = readFileSync(join(ROOT, file), "utf8").replaceAll(/\s+(?:\/\/ )?/g, " ");
  expect(limits.filter((limit) => !words.includes(limit))).toEqual([]);
});

function inWords(limit: number): string {
  return limit.toLocaleString("en");
}
