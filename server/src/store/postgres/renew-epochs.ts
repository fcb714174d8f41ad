import type { ClientBase } from "pg";
import { uuidv7 } from "uuidv7";
import { int8Array, textArray } from "./binary-arrays.js";
import { type HeaderRow, headerChecksum, headerFromRow, headerText } from "./postgres-records.js";
import { schemaName } from "./postgres-schema.js";

const headersPerStatement = 1_000;

/** Gives every coordination a new epoch, in the transaction that the client is in. Answers how many there are. */
export async function renewEpochs(client: ClientBase): Promise<number> {
  let count = 0;
  let last = "0";
  for (;;) {
    const { rows } = await client.query<HeaderRow & { readonly ordinal: string }>(
      `SELECT ordinal, id, epoch, commits, header, checksum FROM ${schemaName}.coordinations
       WHERE ordinal > $1 ORDER BY ordinal LIMIT ${headersPerStatement}`,
      [last],
    );
    const lastRow = rows.at(-1);
    if (lastRow === undefined) return count;
    await renew(client, rows);
    count += rows.length;
    last = lastRow.ordinal;
  }
}

async function renew(client: ClientBase, rows: readonly (HeaderRow & { readonly ordinal: string })[]): Promise<void> {
  const headers = rows.map((row) => {
    const { revision, commits, ...header } = headerFromRow(row);
    return { ...header, epoch: uuidv7(), revision: revision + 1n, commits: commits + 1n };
  });
  const texts = headers.map(headerText);
  await client.query(
    `UPDATE ${schemaName}.coordinations c
     SET epoch = n.epoch, commits = n.commits, header = n.header, checksum = n.checksum
     FROM unnest($1::int8[], $2::text[], $3::int8[], $4::text[], $5::int8[]) AS n (ordinal, epoch, commits, header, checksum)
     WHERE c.ordinal = n.ordinal`,
    [
      int8Array(rows.map(({ ordinal }) => BigInt(ordinal))),
      textArray(headers.map(({ epoch }) => epoch)),
      int8Array(headers.map(({ commits }) => commits)),
      textArray(texts),
      int8Array(rows.map(({ id }, index) => headerChecksum(id, texts[index] ?? ""))),
    ],
  );
}
