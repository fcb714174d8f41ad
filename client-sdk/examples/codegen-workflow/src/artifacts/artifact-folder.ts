import { createHash } from "node:crypto";
import { readFile, rename, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { maxArtifactBytes } from "../limits.js";
import { makeFolder } from "./make-folder.js";

/** A file that an agent has made, as it travels in signals. */
export interface Artifact {
  /** Relative to the output folder, with `/` between its parts. */
  readonly path: string;
  /** Digest of its content, in hexadecimal. */
  readonly sha256: string;
}

/**
 * The folder in which the agents of a workflow leave their files. Each file is written by one agent only, and appears whole or
 * not at all, so that an agent that is killed leaves nothing half done behind. Not safe against a power loss: a file that is
 * then missing or short no longer has its digest, and whoever reads it says so.
 */
export class ArtifactFolder {
  readonly root: string;
  #lastWrite: Promise<unknown> = Promise.resolve();

  constructor(root: string) {
    this.root = path.resolve(root);
  }

  /** Writes a file, over one that is there, and tells its digest. One write follows the other: two may be of the same file. */
  write(relativePath: string, content: string): Promise<Artifact> {
    const write = this.#lastWrite.then(() => this.#write(relativePath, content));
    this.#lastWrite = write.catch(() => undefined);
    return write;
  }

  /**
   * Reads a file that was announced in a signal.
   * @throws Error when it is missing or too large, or its content is not what was announced.
   */
  async read({ path: relativePath, sha256 }: Artifact): Promise<string> {
    const filePath = this.pathOf(relativePath);
    const { size } = await stat(filePath);
    if (size > maxArtifactBytes) throw new Error(`${relativePath} is ${size} bytes, limit is ${maxArtifactBytes}`);
    const content = await readFile(filePath, "utf8");
    if (digestOf(content) !== sha256)
      throw new Error(`${relativePath} is not the file that was announced: its digest differs`);
    return content;
  }

  /**
   * The place of a file.
   * @throws Error when the path leads out of the folder: paths arrive in signals, and anybody can send one.
   */
  pathOf(relativePath: string): string {
    const filePath = path.resolve(this.root, relativePath);
    if (!filePath.startsWith(this.root + path.sep)) throw new Error(`${relativePath} leads out of the output folder`);
    return filePath;
  }

  async #write(relativePath: string, content: string): Promise<Artifact> {
    const filePath = this.pathOf(relativePath);
    // Always the same name: what a killed agent leaves is overwritten by the next attempt instead of piling up.
    const unfinished = `${filePath}.unfinished`;
    await makeFolder(path.dirname(filePath));
    await writeFile(unfinished, content);
    await rename(unfinished, filePath);
    return { path: relativePath, sha256: digestOf(content) };
  }
}

/** The digest of a text, in hexadecimal. */
export function digestOf(content: string): string {
  return createHash("sha256").update(content).digest("hex");
}
