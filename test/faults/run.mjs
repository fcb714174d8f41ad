/**
 * Brings faults about and checks that nothing is lost, duplicated, reordered or shown before it is durable. `--help` tells how
 * to run it. Every program prints its seed, which repeats it. The last line counts the programs.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { plantedRuns, programs } from "./programs.mjs";

const usage = `Usage: npm run test:faults -- [PROGRAM...] [flags]

Brings faults about and checks that nothing is lost, duplicated, reordered or shown before it is durable.

  PROGRAM    one or more of ${Object.keys(programs).join(", ")} (default: all)
  --deep     the size of a night (default: a size for every change)
  --planted  prove the checks: bugs are planted, and each must be found
  --seed N   the seed of all chance, which repeats a run (default: another one each time)
  --help     print this help; with a program, its own

With one program its own flags can be given too:`;

/** The exit codes of a program. */
const CLEAN = 0;
const VIOLATED = 1;
const SKIPPED = 77;
const WRONG_USAGE = 2;
/** Ended by a signal, or because it took too long. */
const KILLED = 128;
const verdictOf = new Map([
  [CLEAN, "passed"],
  [SKIPPED, "skipped"],
  [WRONG_USAGE, "misused"],
]);
/** A program that takes longer hangs: in this setting, and in the deep one. */
const PROGRAM_LIMIT_MS = { short: 15 * 60_000, deep: 24 * 3_600_000 };

const command = parse(process.argv.slice(2));
if (command.error !== undefined) {
  console.error(`test:faults: ${command.error}; --help tells more`);
  process.exitCode = WRONG_USAGE;
} else if (command.isHelp) {
  await printHelp(command);
} else {
  const verdicts = await (command.isPlanted ? runPlanted(command) : runPrograms(command));
  process.exitCode = verdicts.includes("misused") ? WRONG_USAGE : report(verdicts);
}

/** Counts the verdicts; answers the exit code. */
function report(verdicts) {
  const count = (verdict) => verdicts.filter((each) => each === verdict).length;
  const skipped = count("skipped") > 0 ? `, ${count("skipped")} skipped` : "";
  console.log(`${count("passed")} passed, ${count("failed")} failed${skipped}`);
  return count("failed") === 0 ? 0 : 1;
}

/** Reads the command line. What is not the runner's own is for the one program that was chosen. */
function parse(args) {
  const chosen = [];
  const own = [];
  const forProgram = [];
  const seeds = [];
  for (let index = 0; index < args.length; index++) {
    const argument = args[index];
    if (["--deep", "--planted", "--help"].includes(argument)) own.push(argument);
    else if (argument === "--seed") seeds.push(argument, args[++index] ?? "");
    else if (argument.startsWith("--")) forProgram.push(argument, ...args.slice(++index, index + 1));
    else if (argument in programs) chosen.push(argument);
    else return { error: `program "${argument}" is not one of ${Object.keys(programs).join(", ")}` };
  }
  const [isDeep, isPlanted, isHelp] = ["--deep", "--planted", "--help"].map((flag) => own.includes(flag));
  if (forProgram.length > 0 && chosen.length !== 1) {
    return { error: `flag ${forProgram[0]} needs one program to be given to` };
  }
  const programArgs = [...(isDeep ? ["--deep"] : []), ...seeds, ...forProgram];
  return {
    chosen: chosen.length > 0 ? chosen : Object.keys(programs),
    isAll: chosen.length === 0,
    isDeep,
    isPlanted,
    isHelp,
    programArgs,
  };
}

async function printHelp({ chosen, isAll }) {
  const files = new Set(chosen.map((name) => programs[name][0]));
  const texts = await Promise.all([...files].map((file) => run(file, ["--help"], { limitMs: PROGRAM_LIMIT_MS.short })));
  if (isAll) console.log(usage);
  for (const { output } of texts) console.log(`${isAll ? "\n" : ""}${output.trimEnd()}`);
}

async function runPrograms({ chosen, isDeep, programArgs }) {
  const verdicts = [];
  for (const name of chosen) {
    const [file, ...given] = programs[name];
    const { code } = await run(file, [...given, ...programArgs], { limitMs: limitOf(isDeep), isShown: true });
    verdicts.push(verdictOf.get(code) ?? "failed");
  }
  return verdicts;
}

async function runPlanted({ chosen, isDeep, programArgs }) {
  const verdicts = [];
  for (const { bug, by, finds, mayCrash = false } of plantedRuns) {
    const [file, ...size] = by;
    if (!chosen.includes(file)) continue;
    const args = [...size, ...programArgs, "--plant", bug];
    const { code, output } = await run(file, args, { limitMs: limitOf(isDeep), isShown: true });
    const isFound = code === VIOLATED ? finds.some((kind) => countOf(kind, output) > 0) : mayCrash && code >= KILLED;
    verdicts.push(isFound ? "passed" : (verdictOf.get(code === CLEAN ? VIOLATED : code) ?? "failed"));
    if (code !== SKIPPED) console.log(isFound ? `found: ${bug}` : `NOT FOUND: ${bug}, by ${finds.join(" or ")}`);
  }
  return verdicts;
}

/** What a program's report counts of one kind. */
function countOf(kind, output) {
  const counts = output.split("\n").find((line) => / lost, .* otherwise wrong$/.test(line)) ?? "";
  const entry = counts.split(",").find((part) => part.trim().endsWith(` ${kind}`));
  return Number.parseInt(entry ?? "0", 10);
}

function limitOf(isDeep) {
  return isDeep ? PROGRAM_LIMIT_MS.deep : PROGRAM_LIMIT_MS.short;
}

/** Runs a program; resolves with its exit code and what it printed. */
function run(file, args, { limitMs, isShown = false }) {
  const program = fileURLToPath(new URL(`${file}.ts`, import.meta.url));
  const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), program, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text) => {
    output += text;
    if (isShown) process.stdout.write(text);
  });
  const timer = setTimeout(() => {
    console.log(`${file}: ended after ${limitMs / 60_000} minutes`);
    child.kill("SIGKILL");
  }, limitMs);
  return new Promise((resolve) => {
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? KILLED, output });
    });
  });
}
