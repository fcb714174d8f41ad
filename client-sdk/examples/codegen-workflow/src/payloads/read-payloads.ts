import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { isJsonObject, type JsonValue } from "../json-value.js";
import { maxPayloadFileBytes, maxPayloadFolderDepth, maxPayloads, maxPayloadTotalBytes } from "../limits.js";
import { WorkflowInputError } from "../workflow-input-error.js";
import type { FoundPayloads, Payload, RejectedPayload } from "./payload.js";

/**
 * Reads payloads from a folder of JSON files, each one payload, or from one file. A file whose value is a list of
 * `{ name, examples: [...] }`, as `@octokit/webhooks-examples` has it, holds many; any other file is one payload.
 * Files come in the order of their names, so that the same folder gives the same payloads.
 * @throws WorkflowInputError when there is nothing to read, or more than the limits allow. A file that is no JSON is `rejected`.
 */
export async function readPayloads(location: string, signal?: AbortSignal): Promise<FoundPayloads> {
  const root = await stat(location).catch((error: Error) => {
    throw new WorkflowInputError(`cannot read payloads ${location}: ${error.message}`, { cause: error });
  });
  const files = root.isDirectory() ? await jsonFilesIn(location) : [path.basename(location)];
  if (files.length === 0) throw new WorkflowInputError(`payload folder ${location} has no .json file`);
  const folder = root.isDirectory() ? location : path.dirname(location);
  const payloads: Payload[] = [];
  const rejected: RejectedPayload[] = [];
  let totalBytes = 0;
  for (const file of files) {
    signal?.throwIfAborted();
    const text = await payloadText(path.join(folder, file), file);
    totalBytes += Buffer.byteLength(text);
    if (totalBytes > maxPayloadTotalBytes) {
      throw new WorkflowInputError(`payloads ${location} are more than ${maxPayloadTotalBytes} bytes together`);
    }
    const value = jsonFrom(text);
    if (value === undefined) rejected.push({ source: file, reason: "is not JSON" });
    else payloads.push(...payloadsOf(file, value));
    if (payloads.length + rejected.length > maxPayloads) {
      throw new WorkflowInputError(`payloads ${location} are more than ${maxPayloads}`);
    }
  }
  return { payloads, rejected };
}

async function jsonFilesIn(folder: string): Promise<readonly string[]> {
  const files: string[] = [];
  const pending = [""];
  for (let relative = pending.shift(); relative !== undefined; relative = pending.shift()) {
    const entries = await readdir(path.join(folder, relative), { withFileTypes: true });
    for (const entry of entries) {
      const entryPath = path.join(relative, entry.name);
      if (entry.isDirectory() && entryPath.split(path.sep).length <= maxPayloadFolderDepth) pending.push(entryPath);
      if (entry.isFile() && entry.name.toLowerCase().endsWith(".json")) files.push(entryPath);
    }
    if (files.length > maxPayloads) {
      throw new WorkflowInputError(`payload folder ${folder} has more than ${maxPayloads} files`);
    }
  }
  return files.sort();
}

async function payloadText(filePath: string, file: string): Promise<string> {
  const { size } = await stat(filePath);
  if (size > maxPayloadFileBytes) {
    throw new WorkflowInputError(`payload file ${file} is ${size} bytes, limit is ${maxPayloadFileBytes}`);
  }
  return readFile(filePath, "utf8");
}

function jsonFrom(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function payloadsOf(file: string, value: JsonValue): readonly Payload[] {
  const source = file.split(path.sep).join("/");
  const entries = indexEntries(value);
  if (entries === undefined) return [{ source, eventTypeHints: hintsOf(source), value }];
  return entries.flatMap(({ name, examples }, entry) =>
    examples.map((example, index) => ({
      source: `${source}#/${entry}/examples/${index}`,
      eventTypeHints: [name],
      value: example,
    })),
  );
}

interface IndexEntry {
  readonly name: string;
  readonly examples: readonly JsonValue[];
}

function indexEntries(value: JsonValue): readonly IndexEntry[] | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const entries: IndexEntry[] = [];
  for (const entry of value) {
    if (!isJsonObject(entry) || typeof entry["name"] !== "string" || !Array.isArray(entry["examples"]))
      return undefined;
    entries.push({ name: entry["name"], examples: entry["examples"] });
  }
  return entries;
}

/** `issues/opened.json` may be of `opened` or `issues`; `issues.opened.json` of `issues.opened` or `issues`. */
function hintsOf(source: string): readonly string[] {
  const segments = source.split("/");
  const file = (segments.pop() ?? "").replace(/\.json$/i, "");
  const beforeDots = file.split(".").map((_, index, parts) => parts.slice(0, parts.length - index).join("."));
  return [...beforeDots, ...segments.toReversed()];
}
