import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Random } from "../harness/random.js";
import type { StoreFile, Trace, TracedWrite } from "./trace.js";

/*
 * What a disk may hold when its machine loses its power: everything that was synced, and of the rest any part in any order.
 * What is torn is torn between sectors, of 512 bytes or of 4 KiB.
 */

/** How a cut is made. */
export interface PowerCut {
  readonly trace: Trace;
  /** The time of the cut; see `Trace`. */
  readonly at: number;
  readonly random: Random;
  /** Takes no sync for one: what a store would leave behind that forgets them. For proving the checks. */
  readonly ignoresSyncs: boolean;
}

const sectorSizes = [512, 4_096] as const;
/** How much of what was not synced is there: often none or all of it. */
const shares = [0, 0.1, 0.5, 0.9, 1] as const;

/** Writes the files of a store as a cut leaves them into a new directory. */
export async function writeImage(directory: string, cut: PowerCut): Promise<void> {
  await mkdir(directory);
  const data = contentOf("data", cut);
  const log = contentOf("log", cut);
  const seal = contentOf("seal", cut);
  if (data !== undefined) await writeFile(join(directory, nameOfData(cut)), data);
  // Its name is durable when the directory was synced, which follows the data file's.
  if (seal !== undefined && (isNamed(cut) || cut.random.chance(0.5)))
    await writeFile(join(directory, "signals.seal"), seal);
  if (log !== undefined && (isLogNamed(cut) || cut.random.chance(0.5)))
    await writeFile(join(directory, "signals.wal"), log);
}

function contentOf(file: StoreFile, { trace, at, random, ignoresSyncs }: PowerCut): Buffer | undefined {
  const writes = trace.writes.filter((write) => write.file === file && write.start < at);
  if (writes.length === 0) return undefined;
  const isDurable = (write: TracedWrite): boolean => {
    if (ignoresSyncs) return false;
    if (write.isSynced && write.end < at) return true;
    return trace.syncs.some((sync) => sync.file === file && sync.start > write.end && sync.end < at);
  };
  const content = new SparseFile();
  const pending: TracedWrite[] = [];
  for (const write of writes) {
    if (isDurable(write)) content.write(write.offset, write.data);
    else pending.push(write);
  }
  const sectorBytes = random.pick(sectorSizes);
  const share = random.pick(shares);
  for (const write of pending) applyTorn(content, write, { sectorBytes, isThere: () => random.chance(share) });
  return content.bytes();
}

/** Writes those sectors of a write that are there. */
function applyTorn(
  content: SparseFile,
  { offset, data }: TracedWrite,
  { sectorBytes, isThere }: { readonly sectorBytes: number; readonly isThere: () => boolean },
): void {
  for (let from = 0; from < data.length; ) {
    const through = Math.min(data.length, from + sectorBytes - ((offset + from) % sectorBytes));
    if (isThere()) content.write(offset + from, data.subarray(from, through));
    from = through;
  }
}

function nameOfData(cut: PowerCut): string {
  const { renamed } = cut.trace;
  if (renamed === undefined || cut.at < renamed.start) return "signals.mdb.new";
  return isNamed(cut) || cut.random.chance(0.5) ? "signals.mdb" : "signals.mdb.new";
}

/** Whether the data file's name is durable. */
function isNamed({ trace: { renamed, syncs }, at, ignoresSyncs }: PowerCut): boolean {
  if (renamed === undefined) return false;
  if (ignoresSyncs) return at > renamed.end;
  return syncs.some(({ file, start, end }) => file === "directory" && start > renamed.end && end < at);
}

/** Whether the log's name is durable. */
function isLogNamed({ trace: { writes, syncs }, at, ignoresSyncs }: PowerCut): boolean {
  const made = writes.find(({ file }) => file === "log");
  if (made === undefined) return false;
  if (ignoresSyncs) return at > made.end;
  return syncs.some(({ file, start, end }) => file === "directory" && start > made.end && end < at);
}

/** A file that is written anywhere; what was not written is zero. */
class SparseFile {
  #bytes = Buffer.alloc(65_536);
  #length = 0;

  write(offset: number, data: Buffer): void {
    const end = offset + data.length;
    if (end > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(end, 2 * this.#bytes.length));
      this.#bytes.copy(grown);
      this.#bytes = grown;
    }
    data.copy(this.#bytes, offset);
    this.#length = Math.max(this.#length, end);
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}
