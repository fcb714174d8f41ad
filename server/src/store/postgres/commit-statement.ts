import type { CommitPart, CoordinationChange, JournalChange } from "../signal-store.js";
import { byteaArray, int4Array, int8Array, textArray } from "./binary-arrays.js";
import type { Statement } from "./postgres-connections.js";
import {
  type EntryValues,
  entryValues,
  headerChecksum,
  headerText,
  journalChecksum,
  kindNumber,
} from "./postgres-records.js";
import { schemaName } from "./postgres-schema.js";

/*
 * One statement writes the parts of many coordinations, so that a commit is one round trip and one transaction. What it does
 * with a part hangs on its counter row: where that is the version the part builds on it is locked, changed, and the part's
 * number answered; where it is not, or another server holds it, nothing of the part is written. It waits for nobody: rows are
 * locked or skipped, and beginnings come in the order of their names, so that no two statements wait for each other. Its cost
 * hangs on what is written alone: rows are found by index one part at a time, whatever the tables held when it was planned.
 *
 * How many requests and journal rows there are is counted on the counter row by what the statement really did, so that a row
 * that vanishes is missed. A row that ON CONFLICT found has the transaction that locked it as xmax, one that is new has none.
 */

// Journal records that one commit trims.
const maxTrimmedRecords = 4_096;

/** Writes parts, and answers the numbers of those it has written, or has not because one of their requests is known. */
export const commitStatement: Statement = {
  name: "commit",
  text: `
WITH parts AS (
  SELECT * FROM unnest($1::int4[], $2::text[], $3::text[], $4::int8[], $5::text[], $6::int8[], $7::int8[], $8::int8[],
      $9::text[], $10::int8[], $11::int8[], $12::int4[], $13::bytea[], $14::int4[], $15::int4[], $16::int4[])
    AS p (part, id, expected_epoch, expected_commits, epoch, commits, head_sequence, trimmed_through, header, checksum,
      remove_after, trim_kind, trim_before, new_requests, new_records, assumes_new)
), entries AS (
  SELECT * FROM unnest($17::int4[], $18::int8[], $19::bytea[], $20::bytea[], $21::int8[])
    AS s (part, sequence, request_key, bytes, checksum)
), current AS (
  SELECT p.part, c.ordinal, c.trimmed_through, p.trimmed_through AS trim_through, p.assumes_new FROM parts p CROSS JOIN LATERAL (
    SELECT o.ordinal, o.trimmed_through FROM ${schemaName}.coordinations o
    WHERE o.id = p.id AND o.epoch = p.expected_epoch AND o.commits = p.expected_commits FOR UPDATE SKIP LOCKED
  ) c
), repeated AS (
  SELECT DISTINCT c.part FROM current c JOIN entries e USING (part) CROSS JOIN LATERAL (
    SELECT FROM ${schemaName}.signals s WHERE s.ordinal = c.ordinal AND s.request_key = e.request_key OFFSET 0
  ) known WHERE c.assumes_new = 1
), locked AS (
  SELECT * FROM current WHERE part NOT IN (SELECT part FROM repeated)
), begun AS (
  INSERT INTO ${schemaName}.coordinations
    (id, epoch, commits, head_sequence, trimmed_through, header, checksum, request_count, record_count)
  SELECT id, epoch, commits, head_sequence, trimmed_through, header, checksum, new_requests, new_records FROM parts
  WHERE expected_epoch IS NULL ORDER BY id
  ON CONFLICT (id) DO NOTHING RETURNING id, ordinal
), written AS (
  SELECT l.part, l.ordinal FROM locked l JOIN parts p USING (part) WHERE p.header IS NOT NULL
  UNION ALL SELECT p.part, b.ordinal FROM begun b JOIN parts p USING (id)
), trimmed AS (
  DELETE FROM ${schemaName}.signals s USING locked l
  WHERE s.ordinal = l.ordinal AND s.sequence > l.trimmed_through AND s.sequence <= l.trim_through
  RETURNING s.ordinal, s.request_key
), rolled_back AS (
  DELETE FROM ${schemaName}.signals s USING locked l JOIN parts p USING (part)
  WHERE s.ordinal = l.ordinal AND s.sequence > p.remove_after RETURNING s.ordinal, s.request_key
), appended AS (
  INSERT INTO ${schemaName}.signals (ordinal, sequence, request_key, bytes, checksum)
  SELECT w.ordinal, s.sequence, s.request_key, s.bytes, s.checksum
  FROM entries s JOIN written w USING (part)
), trimmed_records AS (
  DELETE FROM ${schemaName}.journal j USING locked l JOIN parts p USING (part), LATERAL (
    SELECT o.key FROM ${schemaName}.journal o
    WHERE o.ordinal = l.ordinal AND o.kind = p.trim_kind AND o.key < p.trim_before ORDER BY o.key LIMIT ${maxTrimmedRecords}
  ) old WHERE j.ordinal = l.ordinal AND j.kind = p.trim_kind AND j.key = old.key RETURNING j.ordinal
), recorded AS (
  INSERT INTO ${schemaName}.journal AS j (ordinal, kind, key, value, checksum, commits, remove_time)
  SELECT w.ordinal, r.kind, r.key, r.value, r.checksum, p.commits, CASE WHEN r.value IS NULL THEN now() END
  FROM unnest($22::int4[], $23::int4[], $24::bytea[], $25::bytea[], $26::int8[])
    AS r (part, kind, key, value, checksum) JOIN written w USING (part) JOIN parts p USING (part)
  ON CONFLICT (ordinal, kind, key) DO UPDATE SET value = excluded.value, checksum = excluded.checksum,
    commits = excluded.commits, remove_time = excluded.remove_time
  RETURNING j.ordinal, j.xmax = 0 AS is_new
), counted AS (
  SELECT ordinal, sum(requests) AS requests, sum(records) AS records FROM (
    SELECT ordinal, -1 AS requests, 0 AS records FROM trimmed WHERE request_key IS NOT NULL
    UNION ALL SELECT ordinal, -1, 0 FROM rolled_back WHERE request_key IS NOT NULL
    UNION ALL SELECT ordinal, 0, -1 FROM trimmed_records
    UNION ALL SELECT ordinal, 0, 1 FROM recorded WHERE is_new
  ) changes GROUP BY ordinal
), changed AS (
  UPDATE ${schemaName}.coordinations c SET commits = p.commits, head_sequence = p.head_sequence,
    trimmed_through = p.trimmed_through, header = p.header, checksum = p.checksum,
    request_count = c.request_count + p.new_requests + coalesce(n.requests, 0),
    record_count = c.record_count + coalesce(n.records, 0)
  FROM locked l JOIN parts p USING (part) LEFT JOIN counted n USING (ordinal)
  WHERE c.ordinal = l.ordinal AND p.header IS NOT NULL
), removed AS (
  DELETE FROM ${schemaName}.coordinations c USING locked l JOIN parts p USING (part)
  WHERE c.ordinal = l.ordinal AND p.header IS NULL RETURNING p.part, c.ordinal
), garbage AS (
  INSERT INTO ${schemaName}.garbage SELECT ordinal FROM removed
)
SELECT part, false AS is_repeated FROM written UNION ALL SELECT part, false FROM removed UNION ALL SELECT part, true FROM repeated`,
};

/** A part as the statement takes it, with its number. */
interface NumberedPart {
  readonly number: number;
  readonly part: CommitPart;
}

/** The values that the statement takes for parts; each is known by its place among them. */
export function commitValues(parts: readonly CommitPart[]): readonly Buffer[] {
  const numbered = parts.map((part, number) => ({ number, part }));
  const entries = numbered.flatMap(({ number, part }) =>
    part.action === "write" ? part.entries.map((entry) => ({ number, ...entryValues(idOf(part), entry) })) : [],
  );
  const records = numbered.flatMap(({ number, part }) =>
    part.action === "write" ? lastRecords(part).map((record) => ({ number, id: idOf(part), record })) : [],
  );
  return [...partColumns(numbered), ...entryColumns(entries), ...recordColumns(records)];
}

/** The coordination that a part is about. */
export function idOf(part: CommitPart): string {
  return part.action === "write" ? part.header.coordinationId : part.coordinationId;
}

function partColumns(numbered: readonly NumberedPart[]): Buffer[] {
  const changes = numbered.map(({ part }) => (part.action === "write" ? part : undefined));
  const texts = changes.map((change) => change && headerText(change.header));
  return [
    int4Array(numbered.map(({ number }) => number)),
    textArray(numbered.map(({ part }) => idOf(part))),
    textArray(numbered.map(({ part }) => part.expected?.epoch)),
    int8Array(numbered.map(({ part }) => part.expected?.commits)),
    textArray(changes.map((change) => change?.header.epoch)),
    int8Array(changes.map((change) => change?.header.commits)),
    int8Array(changes.map((change) => change?.header.headSequence)),
    int8Array(changes.map((change) => change?.header.trimmedThroughSequence)),
    textArray(texts),
    int8Array(changes.map((change, at) => change && headerChecksum(change.header.coordinationId, texts[at] ?? ""))),
    int8Array(changes.map((change) => change?.removeAfterSequence)),
    int4Array(changes.map((change) => change?.trimRecords && kindNumber(change.trimRecords.kind))),
    byteaArray(changes.map((change) => change?.trimRecords && Buffer.from(change.trimRecords.beforeKey))),
    int4Array(changes.map((change) => change && requestCount(change))),
    int4Array(changes.map((change) => change && lastRecords(change).length)),
    int4Array(changes.map((change) => (change?.assumesNewRequests === true ? 1 : 0))),
  ];
}

function entryColumns(entries: readonly (EntryValues & { readonly number: number })[]): Buffer[] {
  return [
    int4Array(entries.map(({ number }) => number)),
    int8Array(entries.map(({ sequence }) => sequence)),
    byteaArray(entries.map(({ requestKey }) => requestKey)),
    byteaArray(entries.map(({ bytes }) => bytes)),
    int8Array(entries.map(({ checksum }) => checksum)),
  ];
}

function recordColumns(
  records: readonly { readonly number: number; readonly id: string; readonly record: JournalChange }[],
): Buffer[] {
  return [
    int4Array(records.map(({ number }) => number)),
    int4Array(records.map(({ record }) => kindNumber(record.kind))),
    byteaArray(records.map(({ record }) => Buffer.from(record.key))),
    byteaArray(records.map(({ record }) => record.value)),
    int8Array(records.map(({ id, record }) => journalChecksum(id, record))),
  ];
}

function requestCount({ entries }: CoordinationChange): number {
  return entries.filter(({ requestKey }) => requestKey !== undefined).length;
}

/** One change for each record: the statement must not meet a row twice, and the last one counts. */
function lastRecords({ records }: CoordinationChange): readonly JournalChange[] {
  return [...new Map(records.map((record) => [`${record.kind} ${record.key}`, record])).values()];
}
