import { knownDeviations } from "./known-deviations.mjs";

const caseStart = /^FAILED: (.*):$/;
const totals = /^(\d+) passed, (\d+) failed/m;

/** Judges what the suite printed: how many cases passed or deviate as explained, and the others with their mismatches. */
export function judgeOutput(output) {
  const [, passed, failed] = totals.exec(output) ?? [];
  if (passed === undefined) return undefined;
  const cases = failedCases(output);
  const faults = cases.filter((each) => !isExplained(each));
  // A case whose mismatches could not be read is a fault too.
  const unread = Math.max(0, Number(failed) - cases.length);
  return {
    passed: Number(passed) + cases.length - faults.length,
    explained: cases.length - faults.length,
    faults,
    unread,
  };
}

function failedCases(output) {
  const cases = [];
  let isInCase = false;
  for (const line of output.split("\n")) {
    const [, name] = caseStart.exec(line) ?? [];
    if (name !== undefined) cases.push({ name, mismatches: [] });
    isInCase = name !== undefined || (isInCase && line.startsWith("\t"));
    const mismatch = line.replace(/^\t(; )?/, "").trim();
    if (isInCase && name === undefined && mismatch !== "") cases.at(-1).mismatches.push(mismatch);
  }
  return cases;
}

function isExplained({ name, mismatches }) {
  const isKnown = (text) => knownDeviations.some(({ mismatch, cases }) => mismatch.test(text) && cases.test(name));
  return mismatches.length > 0 && mismatches.every(isKnown);
}
