import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { getSystemErrorMap } from "node:util";

const fullDiskBytes = 1_048_576;

/** Says that a commit failed: what the store holds is not known to this process any more. */
export class CommitFailedError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "CommitFailedError";
  }
}

/** The error of a file that could not be written; `code` is the system's or the driver's number, or a name. */
export function commitFailed(path: string, why: string, code: number | string, cause?: unknown): CommitFailedError {
  return new CommitFailedError(`cannot write to ${path}: ${why} (${code})${explainSpace(path)}`, cause);
}

/** A number of the system's errors in words. */
export function systemReason(errorNumber: number): string {
  return getSystemErrorMap().get(-errorNumber)?.[1] ?? "an unknown reason";
}

/** A write that came to an end too early may be taken for an i/o error: a full disk is worth a look. */
function explainSpace(path: string): string {
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    return bavail * bsize < fullDiskBytes ? `; the disk is full, ${bavail * bsize} bytes are left` : "";
  } catch {
    return "";
  }
}
