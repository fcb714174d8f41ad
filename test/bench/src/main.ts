/** `npm run bench`: measures, prints the tables, writes what it is asked to. Ends with 1 when a measurement failed. */
import { mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { setFlagsFromString } from "node:v8";
import { parseBenchOptions } from "./bench-options.js";
import { renderMarkdown } from "./report/markdown-report.js";
import { renderChart } from "./report/svg-chart.js";
import { writeProfileReport } from "./report/write-profile-report.js";
import { runBench } from "./run-bench.js";

// This process waits while others are measured. Tidying up its memory meanwhile would take both cores from them, 20 ms at a time.
setFlagsFromString("--no-memory-reducer");

const options = parseBenchOptions(process.argv.slice(2));
const profile = options.profile === undefined ? undefined : resolve(options.profile);
if (profile !== undefined) mkdirSync(profile, { recursive: true });

const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort());
process.once("SIGTERM", () => interrupted.abort());

const run = await runBench({ ...options, ...(profile !== undefined && { profile }) }, interrupted.signal);
const markdown = renderMarkdown(run, options.svg);
process.stdout.write(markdown);
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(run, null, 2)}\n`);
if (options.markdown !== undefined) writeFileSync(options.markdown, markdown);
if (options.svg !== undefined) writeFileSync(options.svg, renderChart(run));
if (profile !== undefined) process.stderr.write(`profiles are summed up in ${writeProfileReport(profile)}\n`);
process.exitCode = run.failures.length > 0 || interrupted.signal.aborted ? 1 : 0;
