import { createHash } from "node:crypto";
import { prepareSignal } from "../../../server/src/model/prepare-signals.js";
import type { CoordinationHeader, JournalKind } from "../../../server/src/store/signal-store.js";
import { type CoordinatorUnderTest, filterOf } from "../../support/coordinator-under-test.js";
import { journalKinds } from "../../support/models/store-parts.js";
import { plannedMessage } from "../journal/planned-signal.js";

/** Everything a store says when it is asked for everything, by what it was asked for. */
export type Contents = Readonly<Record<string, string>>;

/** What no later signal changes. */
const lasting = ["log", "request", "snapshot", "audit", "baseAgent", "baseDependency"];
const pageSize = 100;
const maxOrdinals = 800;

/** Asks a store for everything, by the ways in which a server asks it. */
export async function readContents(subject: CoordinatorUnderTest): Promise<Contents> {
  const contents: Record<string, string> = {};
  const headers = await subject.coordinator.listCoordinations("", 1_000);
  contents["coordinations"] = headers.map(({ coordinationId }) => coordinationId).join(" ");
  for (const listed of headers) {
    const header = await subject.header(listed.coordinationId);
    const { coordinationId } = header;
    contents[`${coordinationId} header`] = JSON.stringify(header, (_key, value) => {
      return typeof value === "bigint" ? String(value) : value;
    });
    await readLog(subject, coordinationId, contents);
    for (const kind of journalKinds) await readRecords(subject, coordinationId, kind, contents);
    await readRequests(subject, header, contents);
  }
  return contents;
}

/** How what a store says differs from what it should; undefined when it does not. `after` looks at what signals leave alone. */
export function differenceBetween(expected: Contents, found: Contents, after?: "signals"): string | undefined {
  for (const [name, value] of Object.entries(expected)) {
    if (after === "signals" && !lasting.includes(name.split(" ")[1] ?? "")) continue;
    // A request that was not known may have been made since.
    if (after === "signals" && value === "none") continue;
    if (found[name] !== value) return `${name} is ${found[name] ?? "absent"}, it should be ${value}`;
  }
  if (after === "signals") return undefined;
  const added = Object.keys(found).find((name) => expected[name] === undefined);
  return added === undefined ? undefined : `${added} is there and should not be`;
}

/** In both directions: each finds its way through the file by itself. */
async function readLog(subject: CoordinatorUnderTest, coordinationId: string, contents: Record<string, string>) {
  for (const order of ["oldestFirst", "newestFirst"] as const) {
    for (let fromSequence: bigint | undefined, isMore = true; isMore; ) {
      const page = await subject.coordinator.readHistory(coordinationId, ({ oldestSequence, headSequence }) => ({
        order,
        fromSequence: fromSequence ?? (order === "oldestFirst" ? oldestSequence - 1n : headSequence + 1n),
        filter: filterOf(undefined),
        maxSignals: pageSize,
      }));
      for (const { sequence, bytes } of page.entries)
        contents[`${coordinationId} log ${sequence} ${order}`] = hashOf(bytes);
      fromSequence = page.nextFromSequence;
      isMore = fromSequence !== undefined;
    }
  }
}

async function readRecords(
  subject: CoordinatorUnderTest,
  coordinationId: string,
  kind: JournalKind,
  contents: Record<string, string>,
): Promise<void> {
  let fromKey: string | undefined;
  for (;;) {
    const records = await subject.coordinator.readJournal(coordinationId, { kind, fromKey, limit: pageSize });
    for (const { key, value } of records) contents[`${coordinationId} ${kind} ${key}`] = hashOf(value);
    fromKey = records.at(-1)?.key;
    if (fromKey === undefined || records.length < pageSize) return;
  }
}

async function readRequests(
  { store }: CoordinatorUnderTest,
  { coordinationId, epoch }: CoordinationHeader,
  contents: Record<string, string>,
): Promise<void> {
  const planned = Array.from({ length: maxOrdinals }, (_, ordinal) => ({ writer: 0, ordinal }));
  const keys = planned.map((each) => prepareSignal(plannedMessage(coordinationId, each)).requestKey ?? "");
  const entries = await store.findRequests(coordinationId, epoch, keys);
  for (const [ordinal, entry] of entries.entries()) {
    contents[`${coordinationId} request ${ordinal}`] = entry === undefined ? "none" : String(entry.sequence);
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex").slice(0, 16);
}
