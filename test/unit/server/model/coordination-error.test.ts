import { describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../../../server/src/model/coordination-error.js";

describe("CoordinationError", () => {
  test("carries reason, metadata and the least time to wait", () => {
    const error = new CoordinationError("SEQUENCE_CONFLICT", "expected_sequence is 3, head is 7", {
      metadata: { head_sequence: "7" },
      retryDelayMs: 50,
    });
    expect(error).toMatchObject({ reason: "SEQUENCE_CONFLICT", metadata: { head_sequence: "7" }, retryDelayMs: 50 });
  });
});
