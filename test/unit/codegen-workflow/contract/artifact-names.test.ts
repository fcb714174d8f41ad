import { describe, expect, test } from "@jest/globals";
import { artifactNames } from "../../../../client-sdk/examples/codegen-workflow/src/contract/artifact-names.js";

describe("artifactNames", () => {
  test("keeps plain names", () => {
    expect([...artifactNames(["issues", "pull_request", "UserModel"]).values()]).toEqual([
      "issues",
      "pull_request",
      "UserModel",
    ]);
  });

  test("keeps names inside a folder and readable", () => {
    const names = artifactNames(["../../etc/passwd", "a b", "..", "日本", "x".repeat(200)]);
    for (const name of names.values()) expect(name).toMatch(/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/);
    expect(names.get("a b")).toMatch(/^a-b-[0-9a-f]{8}$/);
  });

  test("tells apart what only a case-sensitive file system would", () => {
    const lowered = [...artifactNames(["Order", "order", "a b", "a-b", "A b"]).values()].map((name) =>
      name.toLowerCase(),
    );
    expect(new Set(lowered).size).toBe(5);
  });

  test("never gives a plain name that a changed one could have", () => {
    const changed = artifactNames(["a b"]).get("a b") ?? "";
    expect(artifactNames([changed]).get(changed)).not.toBe(changed);
  });
});
