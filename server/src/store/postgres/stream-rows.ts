import type { ClientBase, QueryResultRow } from "pg";

/** Rows in memory at a time: signals can be large. */
const rowsPerFetch = 100;

/** Reads what a query finds, a page at a time. The client is in a transaction; `name` is the cursor's. */
export async function* streamRows<Row extends QueryResultRow>(
  client: ClientBase,
  name: string,
  query: string,
): AsyncIterable<Row> {
  await client.query(`DECLARE ${name} NO SCROLL CURSOR FOR ${query}`);
  for (;;) {
    const { rows } = await client.query<Row>(`FETCH ${rowsPerFetch} FROM ${name}`);
    yield* rows;
    if (rows.length < rowsPerFetch) break;
  }
  await client.query(`CLOSE ${name}`);
}
