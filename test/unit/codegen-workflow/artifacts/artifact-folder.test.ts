import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { ArtifactFolder } from "../../../../client-sdk/examples/codegen-workflow/src/artifacts/artifact-folder.js";

let root: string;
let folder: ArtifactFolder;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "artifact-folder-"));
  folder = new ArtifactFolder(root);
});
afterEach(() => rm(root, { recursive: true }));

describe("ArtifactFolder", () => {
  test("reads back what it wrote, by path and digest", async () => {
    const artifact = await folder.write("models/star.ts", "export {};\n");
    expect(artifact.path).toBe("models/star.ts");
    expect(await folder.read(artifact)).toBe("export {};\n");
  });

  test("replaces a file as a whole and leaves nothing beside it, also over what a killed writer left", async () => {
    await folder.write("a.txt", "old");
    await writeFile(path.join(root, "a.txt.unfinished"), "half of a long te");
    await folder.write("a.txt", "new");
    expect(await readdir(root)).toEqual(["a.txt"]);
  });

  test("writes the same file twice at the same time, and one that cannot be written does not stop the next", async () => {
    const writes = [folder.write("a.txt", "one"), folder.write("..", "bad"), folder.write("a.txt", "two")] as const;
    const [first, refused, second] = await Promise.allSettled(writes);
    expect([first.status, refused.status, second.status]).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(await readdir(root)).toEqual(["a.txt"]);
    if (second.status === "fulfilled") expect(await folder.read(second.value)).toBe("two");
  });

  test("does not take a changed or missing file for the announced one", async () => {
    const artifact = await folder.write("a.txt", "one");
    await writeFile(path.join(root, "a.txt"), "two");
    await expect(folder.read(artifact)).rejects.toThrow("a.txt is not the file that was announced");
    await expect(folder.read({ ...artifact, path: "b.txt" })).rejects.toThrow("no such file");
  });

  test.each(["../a.txt", "/etc/passwd", "models/../../a.txt", "", "."])("keeps %j out", async (relativePath) => {
    expect(() => folder.pathOf(relativePath)).toThrow("leads out of the output folder");
    await expect(folder.write(relativePath, "x")).rejects.toThrow("leads out of the output folder");
  });
});
