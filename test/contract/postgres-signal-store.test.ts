import { afterAll, describe, test } from "@jest/globals";
import { openPostgresStore } from "../../server/src/store/postgres/open-postgres-store.js";
import { openTestPostgres } from "../support/test-postgres.js";
import { describeSignalStore } from "./signal-store-contract.js";

const postgres = await openTestPostgres();

afterAll(async () => postgres?.[Symbol.asyncDispose]());

if (postgres === undefined) {
  describe("SignalStore contract: postgres", () => {
    test.skip("needs PostgreSQL", () => undefined);
  });
} else {
  describeSignalStore("postgres", async () => {
    const url = await postgres.createDatabase();
    const open = () => openPostgresStore({ url, onWarning: () => undefined });
    return { open, reopen: open, dispose: async () => undefined };
  });
}
