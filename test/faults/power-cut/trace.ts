import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { createInterface } from "node:readline";
import type { Marker } from "./marker.js";

/*
 * Reads what strace has seen of a store: which bytes went where, what was synced when, and what was told in between. Time is
 * the number of a line. A call that lasted has two: between them it may have had its effect or not.
 */

/** The files of a store that matter: what LMDB keeps, the write-ahead log, and the notes beside them. */
export type StoreFile = "data" | "log" | "seal";

/** Bytes on their way into a file. */
export interface TracedWrite {
  readonly file: StoreFile;
  readonly offset: number;
  readonly data: Buffer;
  readonly start: number;
  readonly end: number;
  /** Whether the call itself waited until its bytes were on disk. */
  readonly isSynced: boolean;
}

/** A call that waits until everything written to a file before is on disk. */
export interface TracedSync {
  readonly file: StoreFile | "directory";
  readonly start: number;
  readonly end: number;
}

/** Everything that was seen of one run. */
export interface Trace {
  readonly writes: readonly TracedWrite[];
  readonly syncs: readonly TracedSync[];
  /** When the data file got its name; undefined when it never did. */
  readonly renamed: { readonly start: number; readonly end: number } | undefined;
  readonly markers: readonly { readonly at: number; readonly marker: Marker }[];
  /** The time after everything. */
  readonly length: number;
}

/** The calls that are to be traced, with `strace -f -y -xx -v -s` and a length that nothing exceeds. */
export const tracedCalls = "write,writev,pwrite64,fdatasync,fsync,lseek,rename,openat";

interface Call {
  readonly thread: string;
  readonly name: string;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** A line of a trace is not understood: what is not seen cannot be cut. */
export class TraceNotUnderstoodError extends Error {}

/** Reads a trace from its file. Throws TraceNotUnderstoodError. */
export async function readTrace(path: string): Promise<Trace> {
  const reader = new TraceReader();
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
  for await (const line of lines) reader.add(line);
  return reader.trace();
}

class TraceReader {
  readonly #writes: TracedWrite[] = [];
  readonly #syncs: TracedSync[] = [];
  readonly #markers: { at: number; marker: Marker }[] = [];
  readonly #unfinished = new Map<string, { readonly text: string; readonly start: number }>();
  /** Where a thread has moved a file to, for the write that follows. */
  readonly #positions = new Map<string, number>();
  readonly #syncedDescriptors = new Set<string>();
  #renamed: Trace["renamed"];
  #line = 0;

  add(line: string): void {
    this.#line += 1;
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/s.exec(line) ?? [];
    if (rest.startsWith("+++") || rest.startsWith("---")) return;
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/s.exec(rest);
    if (rest.endsWith("<unfinished ...>")) {
      this.#unfinished.set(thread, { text: rest.slice(0, -"<unfinished ...>".length), start: this.#line });
    } else if (resumed === null) {
      this.#call({ thread, name: nameOf(rest), text: rest, start: this.#line, end: this.#line });
    } else {
      const begun = this.#unfinished.get(thread);
      this.#unfinished.delete(thread);
      if (begun === undefined) throw new TraceNotUnderstoodError(`line ${this.#line} resumes nothing`);
      const text = begun.text + (resumed[2] ?? "");
      this.#call({ thread, name: nameOf(text), text, start: begun.start, end: this.#line });
    }
  }

  trace(): Trace {
    return {
      writes: this.#writes,
      syncs: this.#syncs,
      renamed: this.#renamed,
      markers: this.#markers,
      length: this.#line + 1,
    };
  }

  #call(call: Call): void {
    if (/ = -1 /.test(call.text.slice(-80))) return;
    const { name, text, start, end } = call;
    const [, descriptor = "", hexPath = ""] = /^\w+\((\d+)<([^>]*)>/.exec(text) ?? [];
    const fileName = basename(bytesOf(hexPath).toString());
    if (name === "openat") this.#open(text);
    else if (name === "rename") this.#renamed = { start, end };
    else if (name === "lseek") this.#positions.set(call.thread, numberAfter(text, ", "));
    else if (fileName === "markers") this.#markers.push({ at: start, marker: JSON.parse(dataOf(text).toString()) });
    else if (name.endsWith("sync")) this.#syncs.push({ file: fileOf(fileName) ?? "directory", start, end });
    else this.#write(call, descriptor, fileName);
  }

  #open(text: string): void {
    const descriptor = / = (\d+)</.exec(text)?.[1];
    if (descriptor === undefined) return;
    if (text.includes("O_DSYNC")) this.#syncedDescriptors.add(descriptor);
    else this.#syncedDescriptors.delete(descriptor);
  }

  #write({ thread, name, text, start, end }: Call, descriptor: string, fileName: string): void {
    const file = fileOf(fileName);
    if (file === undefined) {
      const what = `${name} to descriptor ${descriptor}, "${fileName}", which is no file of the store`;
      throw new TraceNotUnderstoodError(`line ${start} is a ${what}`);
    }
    const offset =
      name === "pwrite64"
        ? Number(/, (\d+) *\) += /.exec(text.slice(-60))?.[1])
        : name === "writev"
          ? (this.#positions.get(thread) ?? 0)
          : 0;
    if (!Number.isSafeInteger(offset)) throw new TraceNotUnderstoodError(`line ${start} is a ${name} to no place`);
    const isSynced = this.#syncedDescriptors.has(descriptor);
    this.#writes.push({ file, offset, data: dataOf(text), start, end, isSynced });
  }
}

function nameOf(text: string): string {
  return text.slice(0, text.indexOf("("));
}

function fileOf(fileName: string): StoreFile | undefined {
  if (fileName === "signals.seal") return "seal";
  if (fileName === "signals.wal") return "log";
  return fileName.startsWith("signals.mdb") ? "data" : undefined;
}

function numberAfter(text: string, mark: string): number {
  return Number.parseInt(text.slice(text.indexOf(mark) + mark.length), 10);
}

/** The bytes of a call's strings, one after the other; paths are not in quotes. */
function dataOf(text: string): Buffer {
  const parts: Buffer[] = [];
  for (let open = text.indexOf('"'); open >= 0; ) {
    const close = text.indexOf('"', open + 1);
    parts.push(bytesOf(text.slice(open + 1, close)));
    open = text.indexOf('"', close + 1);
  }
  return Buffer.concat(parts);
}

function bytesOf(escaped: string): Buffer {
  return Buffer.from(escaped.replaceAll("\\x", ""), "hex");
}
