import { describe, expect, test } from "@jest/globals";
import type { ClientBase } from "pg";
import { checkDatabase } from "../../../../../server/src/store/postgres/check-database.js";

const sound = {
  version: "18.1",
  version_number: "180001",
  synchronous_commit: "on",
  synchronous_standby_names: "",
  fsync: "on",
  full_page_writes: "on",
  data_checksums: "on",
  encoding: "UTF8",
  is_standby: false,
};

/** A database that says this of itself; of most there is none to be had for a test. */
function databaseWith(changes: Partial<typeof sound>): ClientBase {
  return { query: async () => ({ rows: [{ ...sound, ...changes }] }) } as unknown as ClientBase;
}

describe("checkDatabase", () => {
  test.each([
    [{ version: "13.22", version_number: "130022" }, "PostgreSQL is version 13.22, 14 or newer is needed"],
    [{ is_standby: true }, "PostgreSQL is a standby that only reads: name the primary"],
    [{ encoding: "LATIN1" }, "the database has encoding LATIN1, UTF8 is needed: create it with ENCODING 'UTF8'"],
    [{ synchronous_commit: "off" }, expect.stringContaining("synchronous_commit is off")],
  ])("refuses %j", async (changes, message) => {
    await expect(checkDatabase(databaseWith(changes))).rejects.toMatchObject({ message });
  });

  test.each([
    [{}, []],
    [{ version: "14.0", version_number: "140000", synchronous_commit: "local" }, []],
    [{ fsync: "off" }, [expect.stringMatching(/^fsync of PostgreSQL is off: .* loses power$/)]],
    [{ full_page_writes: "off" }, [expect.stringMatching(/^full_page_writes of PostgreSQL is off: /)]],
  ])("takes %j, and says what should be known", async (changes, warnings) => {
    expect(await checkDatabase(databaseWith(changes))).toEqual(warnings);
  });
});
