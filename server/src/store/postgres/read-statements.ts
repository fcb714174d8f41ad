import type { Statement } from "./postgres-connections.js";
import { schemaName } from "./postgres-schema.js";

/*
 * What is read in one statement is of one moment: a header never comes with the records or the signals of another version.
 *
 * Signals and records are looked for inside LATERAL, which a limit or an OFFSET 0 keeps from becoming a plain join: that
 * PostgreSQL is free to begin with all rows of a coordination.
 */

const signalColumns = "sequence, request_key, content_hash, bytes, checksum";

function rangeStatement(name: string, comparison: "<" | ">", order: "ASC" | "DESC"): Statement {
  return {
    name,
    text: `
SELECT ${signalColumns} FROM (
  SELECT ${signalColumns}, row_number() OVER (ORDER BY sequence ${order}) AS place,
    sum(octet_length(bytes)) OVER (ORDER BY sequence ${order} ROWS UNBOUNDED PRECEDING) AS total
  FROM (
    SELECT s.* FROM ${schemaName}.coordinations c CROSS JOIN LATERAL (
      SELECT ${signalColumns} FROM ${schemaName}.signals e WHERE e.ordinal = c.ordinal AND e.sequence ${comparison} $3
      ORDER BY e.sequence ${order} LIMIT $4
    ) s WHERE c.id = $1 AND c.epoch = $2
  ) page
) bounded WHERE place = 1 OR total <= $5 ORDER BY sequence ${order}`,
  };
}

/** Entries after a sequence: id, epoch, sequence, entries, bytes. */
export const readForwardStatement = rangeStatement("read_forward", ">", "ASC");
/** Entries before a sequence: id, epoch, sequence, entries, bytes. */
export const readBackwardStatement = rangeStatement("read_backward", "<", "DESC");

/** The entries of requests, some of which may have several: id, epoch, keys. */
export const findRequestsStatement: Statement = {
  name: "find_requests",
  text: `
SELECT s.* FROM ${schemaName}.coordinations c CROSS JOIN unnest($3::bytea[]) AS k (request_key) CROSS JOIN LATERAL (
  SELECT ${signalColumns} FROM ${schemaName}.signals e WHERE e.ordinal = c.ordinal AND e.request_key = k.request_key OFFSET 0
) s WHERE c.id = $1 AND c.epoch = $2 ORDER BY s.sequence`,
};

/** How many requests a coordination has, and how many it should have: id, epoch. */
export const countRequestsStatement: Statement = {
  name: "count_requests",
  text: `
SELECT c.request_count AS expected, (
  SELECT count(*) FROM ${schemaName}.signals s WHERE s.ordinal = c.ordinal AND s.request_key IS NOT NULL
) AS found FROM ${schemaName}.coordinations c WHERE c.id = $1 AND c.epoch = $2`,
};

/** A coordination's header with the counts of its journal, and the resident part of that: id. */
export const loadStatement: Statement = {
  name: "load",
  text: `
WITH c AS (SELECT * FROM ${schemaName}.coordinations WHERE id = $1)
SELECT 'header' AS part, id, epoch, commits, header, checksum, record_count AS expected,
  (SELECT count(*) FROM ${schemaName}.journal j WHERE j.ordinal = c.ordinal) AS found,
  NULL::int2 AS kind, NULL::bytea AS key, NULL::bytea AS value FROM c
UNION ALL
SELECT 'journal', NULL, NULL, NULL, NULL, j.checksum, NULL, NULL, j.kind, j.key, j.value
FROM c JOIN ${schemaName}.journal j USING (ordinal) WHERE j.kind <= 3 AND j.value IS NOT NULL`,
};

function journalStatement(name: string, comparison: "<" | ">", order: "ASC" | "DESC"): Statement {
  return {
    name,
    text: `
SELECT j.* FROM ${schemaName}.coordinations c CROSS JOIN LATERAL (
  SELECT r.kind, r.key, r.value, r.checksum FROM ${schemaName}.journal r
  WHERE r.ordinal = c.ordinal AND r.kind = $3 AND r.value IS NOT NULL AND r.key ${comparison} $4 ORDER BY r.key ${order} LIMIT $5
) j WHERE c.id = $1 AND c.epoch = $2`,
  };
}

/** Records of a kind by key: id, epoch, kind, after which key, how many. */
export const readJournalStatement = journalStatement("read_journal", ">", "ASC");
/** Records of a kind from the greatest key: id, epoch, kind, before which key, how many. */
export const readJournalBackStatement = journalStatement("read_journal_back", "<", "DESC");

/** Headers by id: after which, how many. */
export const listStatement: Statement = {
  name: "list",
  text: `SELECT id, epoch, commits, header, checksum FROM ${schemaName}.coordinations WHERE id > $1 ORDER BY id LIMIT $2`,
};

/** How many coordinations there are. */
export const countStatement: Statement = {
  name: "count",
  text: `SELECT count(*) AS count FROM ${schemaName}.coordinations`,
};

/** Which of the known are another version now: ids, epochs, commits. */
export const findChangedStatement: Statement = {
  name: "find_changed",
  text: `
SELECT k.id FROM unnest($1::text[], $2::text[], $3::int8[]) AS k (id, epoch, commits)
LEFT JOIN ${schemaName}.coordinations c ON c.id = k.id
WHERE c.epoch IS DISTINCT FROM k.epoch OR c.commits IS DISTINCT FROM k.commits`,
};

/** Takes coordinations from all other servers until the transaction ends: ids. */
export const lockStatement: Statement = {
  name: "lock",
  text: `SELECT 1 FROM ${schemaName}.coordinations WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE`,
};

/**
 * What has changed since a version: id, epoch, commits, head, most entries, most bytes. Entries come where they are few
 * enough; journal records all, where some that were removed since may be forgotten or the epoch is another one.
 */
export const changesStatement: Statement = {
  name: "changes_since",
  text: `
WITH c AS (
  SELECT *, epoch = $2 AND removals_forgotten_through <= $3 AS is_partial FROM ${schemaName}.coordinations WHERE id = $1
), new AS (
  SELECT * FROM c WHERE epoch IS DISTINCT FROM $2 OR commits IS DISTINCT FROM $3
)
SELECT CASE WHEN is_partial THEN 'header' ELSE 'whole' END AS part, id, epoch, commits, header, checksum,
  NULL::int2 AS kind, NULL::bytea AS key, NULL::bytea AS value,
  NULL::int8 AS sequence, NULL::bytea AS request_key, NULL::bytea AS content_hash, NULL::bytea AS bytes FROM c
UNION ALL
SELECT 'journal', NULL, NULL, NULL, NULL, j.checksum, j.kind, j.key, j.value, NULL, NULL, NULL, NULL
FROM new JOIN ${schemaName}.journal j USING (ordinal)
WHERE j.kind <= 3 AND j.commits > CASE WHEN new.is_partial THEN $3 ELSE -1 END AND (new.is_partial OR j.value IS NOT NULL)
UNION ALL
SELECT 'signal', NULL, NULL, NULL, NULL, s.checksum, NULL, NULL, NULL, s.sequence, s.request_key, s.content_hash, s.bytes
FROM new CROSS JOIN LATERAL (
  SELECT e.*, sum(octet_length(e.bytes)) OVER () AS total FROM ${schemaName}.signals e
  WHERE e.ordinal = new.ordinal AND e.sequence > $4
    AND e.sequence <= CASE WHEN new.epoch = $2 AND new.head_sequence - $4 <= $5 THEN new.head_sequence ELSE $4 END
) s WHERE s.total <= $6`,
};
