import { describe, expect, test } from "@jest/globals";
import {
  createCoordinationClient,
  NotFoundError,
  OutOfRangeError,
  StateChangeKind,
} from "../../client-sdk/src/index.js";
import { startTestServer } from "../support/test-server.js";

describe("the SDK's state and replay", () => {
  test("snapshots, rolls back, tells the audit and replays", async () => {
    await using server = await startTestServer();
    await using client = createCoordinationClient({ baseUrl: server.url });
    const session = client.coordination("c", { agentId: "a" });
    await expect(session.state.createSnapshot()).rejects.toThrow(NotFoundError);
    for (let i = 1; i <= 4; i++) await session.dependencyResolved({ dependencyType: "t", dependencyId: `d${i}` });
    const snapshot = await session.state.createSnapshot({ label: "four" });
    const { removedSignals } = await session.state.rollBack(2n, { reason: "wrong" });
    expect(removedSignals).toBe(2n);
    await session.message({ messageType: "note", message: "on" });
    const snapshots = await collect(session.state.snapshots({ pageSize: 1 }));
    expect(snapshots.map(({ snapshotId, label }) => [snapshotId, label])).toEqual([[snapshot.snapshotId, "four"]]);
    expect((await session.state.snapshot(snapshot.snapshotId)).dependencies).toHaveLength(4);
    const changes = await collect(session.state.changes({ pageSize: 2 }));
    expect(changes.slice(0, 3).map(({ kind, actors }) => [StateChangeKind[kind], actors.join()])).toEqual([
      ["SIGNALS_APPENDED", "a"],
      ["ROLLED_BACK", "a"],
      ["SNAPSHOT_CREATED", "a"],
    ]);
    const replayed = await collect(session.replay({ types: ["dependencyResolved"] }));
    expect(replayed.map(({ event }) => event.value.dependencyId)).toEqual(["d1", "d2"]);
    await expect(session.state.rollBack(3n)).rejects.toThrow(OutOfRangeError);
    for await (const _ of session.replay()) break;
  });
});

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}
