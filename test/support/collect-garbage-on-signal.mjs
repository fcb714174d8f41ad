// Loaded into a server under test (`node --import`): SIGUSR2 collects all garbage and says so on stderr, so that a test which
// looks at the heap sees what the server holds and not when V8 last swept.
import { writeSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc");
process.on("SIGUSR2", () => {
  collectGarbage();
  collectGarbage(); // The first leaves the buffers that it found to a sweep which runs beside the program.
  writeSync(process.stderr.fd, "garbage collected\n");
});
