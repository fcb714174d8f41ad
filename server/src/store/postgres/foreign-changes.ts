import { CoordinationError } from "../../model/coordination-error.js";
import { maxBatchSignals, tailCacheBytes } from "../../model/limits.js";
import type { LogEntry } from "../../model/log-entry.js";
import type { CoordinationHeader, CoordinationVersion, ForeignChanges, KnownCoordination } from "../signal-store.js";
import type { StatementRunner } from "./postgres-connections.js";
import {
  changeFromRow,
  entryFromRow,
  type HeaderRow,
  headerFromRow,
  type JournalRow,
  type SignalRow,
} from "./postgres-records.js";
import { changesStatement } from "./read-statements.js";

type ChangesRow =
  | ({ readonly part: "header" } & HeaderRow)
  | ({ readonly part: "whole" } & HeaderRow)
  | ({ readonly part: "journal" } & JournalRow)
  | ({ readonly part: "signal" } & SignalRow);

const gone: ForeignChanges = { header: undefined, entries: undefined, records: [], recordsAreAll: true };

/** Reads what has changed since a version; undefined when nothing has. */
export async function readForeignChanges(
  run: StatementRunner,
  { coordinationId, version, headSequence }: KnownCoordination,
): Promise<ForeignChanges | undefined> {
  const rows = await run<ChangesRow>(changesStatement, [
    coordinationId,
    version?.epoch ?? null,
    version?.commits ?? null,
    headSequence,
    maxBatchSignals,
    tailCacheBytes,
  ]);
  const headerRow = rows.find((row) => row.part === "header" || row.part === "whole");
  if (headerRow === undefined) return version === undefined ? undefined : gone;
  const header = headerFromRow(headerRow);
  if (header.epoch === version?.epoch) {
    if (header.commits === version.commits) return undefined;
    if (header.commits < version.commits) throw wentBack(header, version);
  }
  const entries = rows.flatMap((row) => (row.part === "signal" ? entryFromRow(coordinationId, row) : []));
  entries.sort((a, b) => (a.sequence < b.sequence ? -1 : 1));
  return {
    header,
    entries: header.epoch === version?.epoch && reach(entries, headSequence, header.headSequence) ? entries : undefined,
    records: rows.flatMap((row) => (row.part === "journal" ? changeFromRow(coordinationId, row) : [])),
    recordsAreAll: headerRow.part === "whole",
  };
}

/** Whether entries lead from one head to another without a gap. */
function reach(entries: readonly LogEntry[], fromHead: bigint, toHead: bigint): boolean {
  return (
    BigInt(entries.length) === toHead - fromHead &&
    entries.every(({ sequence }, index) => sequence === fromHead + BigInt(index) + 1n)
  );
}

/** A database that was set back without new epochs would let old positions in the log pass for positions in another one. */
function wentBack({ coordinationId, commits }: CoordinationHeader, known: CoordinationVersion): CoordinationError {
  return new CoordinationError(
    "STORE_CORRUPT",
    `the database holds commit ${commits} of coordination "${coordinationId}", it held ${known.commits} before: it has lost what was answered for`,
    { metadata: { coordination_id: coordinationId } },
  );
}
