// Everything that is checked without running the product: `npm run check`, or `npm run check -- STEP ...` for some of it.
import { runSteps } from "./steps.mjs";

const CONTRACT = "proto/coordination";

const steps = {
  "format and lint": ["biome", "check", "--error-on-warnings"],
  "types of the sources": ["npm", "run", "--silent", "build"],
  "types of the tests": ["tsc", "-p", "test"],
  layers: ["npm", "run", "--silent", "lint:layers"],
  "dead code": ["knip"],
  "contract style": ["buf", "lint"],
  "contract format": ["buf", "format", "--diff", "--exit-code", "--path", CONTRACT],
  "contract compatibility": ["buf", "breaking", "--against", "proto/baseline.binpb"],
  "package of the SDK": ["npm", "run", "--silent", "--workspace", "client-sdk", "check:package"],
  "vendored contract": ["node", "proto/scripts/vendor-protos.mjs", "--check"],
  "generated code": ["node", "proto/scripts/generate.mjs", "--check"],
};

process.exitCode = (await runSteps(steps, process.argv.slice(2))) ? 0 : 1;
