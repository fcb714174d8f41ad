import { describe, expect, test } from "@jest/globals";
import { judgeOutput } from "../../conformance/judge-output.mjs";

const explained =
  "FAILED: Basic/Protocol:PROTOCOL_GRPC/unimplemented:\n\tactual error contain 1 details; expecting 0\n";

describe("judgeOutput", () => {
  test("passes a case whose every mismatch is explained", () => {
    expect(judgeOutput(`${explained}\nTotal cases: 3\n2 passed, 1 failed\n`)).toEqual({
      passed: 3,
      explained: 1,
      faults: [],
      unread: 0,
    });
  });

  test("fails a case with one mismatch beside an explained one", () => {
    const verdict = judgeOutput(`${explained}\t; missing response header "x"\n\n2 passed, 1 failed\n`);
    expect(verdict).toMatchObject({ passed: 2, explained: 0 });
    expect(verdict?.faults).toEqual([
      {
        name: "Basic/Protocol:PROTOCOL_GRPC/unimplemented",
        mismatches: ["actual error contain 1 details; expecting 0", 'missing response header "x"'],
      },
    ]);
  });

  test("explains a mismatch only in the cases it was seen in", () => {
    const output =
      "FAILED: Basic/unary/success:\n\tconnect error JSON: unexpected end of JSON input\n\n0 passed, 1 failed\n";
    expect(judgeOutput(output)).toMatchObject({ passed: 0, faults: [{ name: "Basic/unary/success" }] });
  });

  test("counts failures that it cannot find", () => {
    expect(judgeOutput("0 passed, 4 failed\n")).toMatchObject({ passed: 0, unread: 4 });
  });

  test("has no verdict on a suite that did not end", () => {
    expect(judgeOutput("Total cases: 2718\n")).toBeUndefined();
  });
});
