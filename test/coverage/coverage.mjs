// Runs the tests and shows which share of the lines of the server's and the SDK's sources they and the processes they
// spawn ran: `npm run coverage`, with jest's arguments for some of the tests. Fails when a test fails or a share is
// under the limit. The report in full: coverage/index.html.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join, relative } from "node:path";
import istanbulCoverage from "istanbul-lib-coverage";
import istanbulReport from "istanbul-lib-report";
import istanbulReports from "istanbul-reports";
import { root, sourceFolders } from "./measured-files.mjs";
import { mergedCoverage } from "./merged-coverage.mjs";

const LINES_LIMIT_PERCENT = 95;

const directory = join(root, "coverage");
rmSync(directory, { recursive: true, force: true });
const testsPassed = runTests(process.argv.slice(2));
const coverage = await mergedCoverage();
report(coverage);
const enough = sourceFolders.map((folder) => holdsLimit(coverage, folder)).every(Boolean);
process.exitCode = testsPassed && enough ? 0 : 1;

function runTests(args) {
  const jest = join(root, "node_modules", "jest", "bin", "jest.js");
  const flags = ["--experimental-vm-modules", "--disable-warning=ExperimentalWarning"];
  const config = join(root, "test", "coverage", "jest.config.js");
  const { status } = spawnSync(process.execPath, [...flags, jest, "-c", config, ...args], {
    cwd: root,
    stdio: "inherit",
  });
  return status === 0;
}

function report(map) {
  const context = istanbulReport.createContext({ dir: directory, coverageMap: map, defaultSummarizer: "nested" });
  for (const name of ["text", "html", "lcovonly"])
    istanbulReports.create(name, { projectRoot: root, maxCols: 140 }).execute(context);
}

function holdsLimit(map, folder) {
  const files = map.files().filter((file) => file.startsWith(`${folder}/`));
  const chosen = istanbulCoverage.createCoverageMap(
    Object.fromEntries(files.map((file) => [file, map.fileCoverageFor(file)])),
  );
  const { lines } = chosen.getCoverageSummary();
  console.log(
    `${relative(root, folder)}: ${lines.covered} of ${lines.total} lines, ${lines.pct} % (limit ${LINES_LIMIT_PERCENT} %)`,
  );
  return lines.pct >= LINES_LIMIT_PERCENT;
}
