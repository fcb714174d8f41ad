import { describe, expect, test } from "@jest/globals";
import { type CpuProfile, renderProfile } from "../../../bench/src/report/profile-report.js";

function frame(functionName: string, url = "") {
  return { functionName, url, lineNumber: 9 };
}

/** outer calls itself, which calls inner; a tenth of the time is idle. */
const profile: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame("(root)"), children: [2, 5] },
    { id: 2, callFrame: frame("outer", "node:x"), children: [3] },
    { id: 3, callFrame: frame("outer", "node:x"), children: [4] },
    { id: 4, callFrame: frame("inner", "node:x") },
    { id: 5, callFrame: frame("(idle)") },
  ],
  samples: [2, 3, 4, 4, 5],
  timeDeltas: [100, 200, 300, 400, 111],
};

describe("renderProfile", () => {
  test("counts a recursive function once and leaves idle time out", () => {
    const markdown = renderProfile("server", profile);
    expect(markdown).toContain("| outer node:x:10 | 30.0 % | 100.0 % |");
    expect(markdown).toContain("| inner node:x:10 | 70.0 % | 70.0 % |");
    expect(markdown).not.toContain("idle");
  });
});
