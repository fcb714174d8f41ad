/**
 * A test file's environment that records which parts of the measured files ran. What the tests spawn records itself:
 * Node does so when NODE_V8_COVERAGE is in its environment, and writes when it exits (not when it is killed).
 */
import { randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { Session } from "node:inspector/promises";
import { join } from "node:path";
import { TestEnvironment } from "jest-environment-node";
import { measuredScripts, rawDirectory } from "./measured-files.mjs";

class RecordingEnvironment extends TestEnvironment {
  #session = new Session();

  constructor(config, context) {
    process.env.NODE_V8_COVERAGE = rawDirectory; // copied into the tests' environment, and from there to what they spawn
    super(config, context);
  }

  async setup() {
    await super.setup();
    this.#session.connect();
    await this.#session.post("Profiler.enable");
    await this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  async teardown() {
    const { result } = await this.#session.post("Profiler.takePreciseCoverage");
    this.#session.disconnect();
    await mkdir(rawDirectory, { recursive: true });
    await writeFile(
      join(rawDirectory, `coverage-test-${randomUUID()}.json`),
      JSON.stringify({ result: measuredScripts(result) }),
    );
    await super.teardown();
  }
}

// biome-ignore lint/style/noDefaultExport: the form in which jest reads an environment
export default RecordingEnvironment;
