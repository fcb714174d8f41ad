import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { refusalOf } from "../support/refusal.js";
import { note, notes } from "../support/sample-signals.js";
import { spawnServer } from "../support/spawned-server.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { grpc } from "../support/test-client.js";

const COORDINATION_ID = "damaged";
const STORED_TEXT = "a text that stands in the file of the store";

/** Stores signals and ends the server well. */
async function fillStore(directory: string): Promise<void> {
  await using server = await spawnServer(["--store", `lmdb:${directory}`]);
  using client = grpc.connect(server.url);
  await client.signals.batchSendSignals({ requests: notes(COORDINATION_ID, 5) });
  await client.signals.sendSignal(note(COORDINATION_ID, STORED_TEXT));
  expect(await server.stop()).toEqual({ code: 0, signal: null });
}

/** Changes one letter of a stored signal, in every version of it that the file holds. */
async function damage(directory: string): Promise<void> {
  const path = join(directory, "signals.mdb");
  const { size } = await stat(path);
  await using file = await open(path, "r+");
  const bytes = Buffer.alloc(size);
  await file.read(bytes, 0, size, 0);
  expect(bytes.indexOf(STORED_TEXT)).not.toBe(-1);
  for (let at = bytes.indexOf(STORED_TEXT); at !== -1; at = bytes.indexOf(STORED_TEXT, at + 1))
    await file.write("A", at);
}

describe("fail-stop", () => {
  test("a signal that is damaged in the store is not served: the process says so and ends", async () => {
    await using directory = await temporaryDirectory();
    await fillStore(directory.path);
    await damage(directory.path);
    await using server = await spawnServer(["--store", `lmdb:${directory.path}`]);
    using client = grpc.connect(server.url);
    const refusal = await refusalOf(client.signals.getSignalHistory({ coordinationId: COORDINATION_ID }));
    expect(refusal).toMatchObject({ code: "DataLoss", reason: "STORE_CORRUPT" });
    expect(await server.exited).toEqual({ code: 1, signal: null });
    expect(server.stderr().match(/^coordination-server: fatal: .*damaged.*$/gm)).toHaveLength(1);
  });
});
