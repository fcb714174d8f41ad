import { describe, expect, test } from "@jest/globals";
import {
  errorText,
  failureLine,
  reportMarkdown,
  summaryText,
  verdictLine,
} from "../../../../client-sdk/examples/codegen-workflow/src/validation/report-text.js";
import {
  type PayloadFailure,
  type ReportInput,
  validationReport,
} from "../../../../client-sdk/examples/codegen-workflow/src/validation/validation-report.js";

const failure = (source: string, eventType = "star"): PayloadFailure => ({
  eventType,
  variant: undefined,
  source,
  errors: [{ path: "/id", message: "must be integer" }],
  errorCount: 3,
});
const input: ReportInput = {
  eventTypes: [
    { eventType: "star", payloads: 3, passed: 1 },
    { eventType: "issues", payloads: 6, passed: 6 },
  ],
  failures: [failure("index.json#/0/examples/10"), failure("index.json#/0/examples/9")],
  rejected: 1,
  validators: 2,
  models: 2,
  validatorProblems: [],
  modelProblems: [],
};

describe("validationReport", () => {
  test("scores the share that passed, of all payloads there were", () => {
    expect(validationReport(input)).toMatchObject({ payloads: 10, passed: 7, qualityScore: 0.7 });
  });

  test("has no score when there was nothing to validate", () => {
    const report = validationReport({ ...input, eventTypes: [], failures: [], rejected: 0 });
    expect(report.qualityScore).toBeUndefined();
    expect(verdictLine(report)).toBe("there were no payloads to validate; 2 validators loaded, 2 models type-checked");
  });

  test("is the same whatever came first", () => {
    const turned = { ...input, eventTypes: input.eventTypes.toReversed(), failures: input.failures.toReversed() };
    expect(validationReport(turned)).toEqual(validationReport(input));
    expect(validationReport(input).failures.map(({ source }) => source)).toEqual([
      "index.json#/0/examples/9",
      "index.json#/0/examples/10",
    ]);
  });
});

describe("report text", () => {
  test("names a failure in one line", () => {
    expect(failureLine({ ...failure("a.json"), variant: "star$created" })).toBe(
      "star$created  a.json  /id must be integer (and 2 more)",
    );
  });

  test("cuts a line that is too long for a signal", () => {
    expect(failureLine(failure("x".repeat(1_000)))).toHaveLength(300);
  });

  test("says 100 % only when all passed", () => {
    const almost = { ...input, eventTypes: [{ eventType: "star", payloads: 9_999, passed: 9_999 }] };
    expect(verdictLine(validationReport(almost))).toContain("9999 of 10000 payloads passed (99.9 %)");
  });

  test("names at most 200 failures in a summary, and counts the others", () => {
    const failures = Array.from({ length: 203 }, (_, index) => failure(`${index}.json`));
    const lines = summaryText(validationReport({ ...input, failures })).split("\n");
    expect(lines).toHaveLength(202);
    expect(lines.at(-1)).toBe("and 3 more failures, all named in the report");
  });

  test("says what was generated and cannot be used", () => {
    expect(errorText(validationReport(input))).toBeUndefined();
    const validatorProblems = [{ eventType: "star", reason: "cannot be loaded" }];
    const modelProblems = Array.from({ length: 21 }, (_, index) => ({
      file: `m${index}.ts`,
      diagnostics: ["line 1: x"],
    }));
    const text = errorText(validationReport({ ...input, validatorProblems, modelProblems }));
    expect(text).toMatch(/^no validator of star: cannot be loaded; m0\.ts does not type-check: line 1: x; /);
    expect(text).toMatch(/; and 2 more$/);
  });

  test("writes every failure and every broken model into the report", () => {
    const markdown = reportMarkdown(
      validationReport({
        ...input,
        validatorProblems: [{ eventType: "star", reason: "cannot be loaded" }],
        modelProblems: [{ file: "models/star.ts", diagnostics: ["line 2: TS2304 x"] }],
      }),
    );
    expect(markdown).toContain("- star: cannot be loaded");
    expect(markdown).toContain("| star | 3 | 1 |");
    expect(markdown).toContain("- **star** `index.json#/0/examples/10`\n  - `/id` must be integer\n  - and 2 more");
    expect(markdown).toContain("- `models/star.ts`: line 2: TS2304 x");
  });
});
