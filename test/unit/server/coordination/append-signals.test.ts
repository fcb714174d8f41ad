import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import { CoordinatorUnderTest, openDurable } from "../../../support/coordinator-under-test.js";
import type { RequestParts } from "../../../support/log-entries.js";
import { ManualClock } from "../../../support/manual-clock.js";

const saying = (message: string, parts: RequestParts = {}): RequestParts => ({
  event: { case: "interAgentMessage", value: { message } },
  ...parts,
});

const reused = { reason: "REQUEST_ID_REUSED" };

describe("a request_id", () => {
  test("gets the first answer when it is sent again", async () => {
    await using subject = new CoordinatorUnderTest();
    const first = await subject.send({ requestId: "r" });
    await subject.send();
    expect(await subject.send({ requestId: "r" })).toEqual({ ...first, isDeduplicated: true });
    expect(await subject.header()).toMatchObject({ headSequence: 2n });
  });

  test("is stored once when it is sent many times at the same moment", async () => {
    await using subject = new CoordinatorUnderTest();
    const answers = await Promise.all(Array.from({ length: 50 }, () => subject.send({ requestId: "r" })));
    expect(new Set(answers.map(({ signalId }) => signalId)).size).toBe(1);
    expect(answers.filter(({ isDeduplicated }) => !isDeduplicated)).toHaveLength(1);
    expect(await subject.header()).toMatchObject({ headSequence: 1n, sentByType: [0, 0, 0, 0, 1] });
  });

  test("is stored once when it stands twice in one batch", async () => {
    await using subject = new CoordinatorUnderTest();
    const outcomes = await subject.sendEach([{ requestId: "r" }, { requestId: "r" }]);
    expect(outcomes.map(({ stored }) => [stored?.sequence, stored?.isDeduplicated])).toEqual([
      [1n, false],
      [1n, true],
    ]);
  });

  test("belongs to its sender and its coordination", async () => {
    await using subject = new CoordinatorUnderTest();
    const parts = [{}, { senderAgentId: "other" }, { coordinationId: "other" }];
    const outcomes = await subject.sendEach(parts.map((each) => ({ ...each, requestId: "r" })));
    expect(outcomes.map(({ stored }) => stored?.isDeduplicated)).toEqual([false, false, false]);
  });

  test("does not run together with the sender's name", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send({ senderAgentId: "a", requestId: "bc" });
    expect(await subject.send({ senderAgentId: "ab", requestId: "c" })).toMatchObject({ isDeduplicated: false });
  });

  test("with other content is REQUEST_ID_REUSED, and says which signal has it", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    await subject.send(saying("one", { requestId: "r" }));
    const other: readonly RequestParts[] = [
      saying("two"),
      saying("one", { priority: Priority.HIGH }),
      saying("one", { metadata: { a: "b" } }),
      saying("one", { recipientAgentIds: ["sender"] }),
      saying("one", { correlationId: "x" }),
      { event: { case: "agentCompleted", value: {} } },
    ];
    for (const parts of other) {
      await expect(subject.send({ ...parts, requestId: "r" })).rejects.toMatchObject({
        ...reused,
        metadata: { request_id: "r", sequence: "2" },
      });
    }
    expect(await subject.header()).toMatchObject({ headSequence: 2n });
  });

  test("is looked up before anything that could refuse the repetition", async () => {
    await using subject = new CoordinatorUnderTest();
    const first = await subject.send({ requestId: "r", expectedSequence: 0n, senderAgentId: "a" });
    const again = { ...first, isDeduplicated: true };
    await subject.send();
    expect(await subject.send({ requestId: "r", expectedSequence: 0n, senderAgentId: "a" })).toEqual(again);
    expect(await subject.send({ requestId: "r", expectedSequence: 9n, senderAgentId: "a" })).toEqual(again);
    await subject.coordinator.closeCoordination("c", "done");
    expect(await subject.send({ requestId: "r", senderAgentId: "a" })).toEqual(again);
    await expect(subject.send({ requestId: "new" })).rejects.toMatchObject({ reason: "COORDINATION_CLOSED" });
  });

  test("is looked up before its recipients", async () => {
    await using subject = new CoordinatorUnderTest();
    const registration = { agentId: "b", capabilities: [], provides: [], metadata: {}, leaseMs: 1_000 };
    await subject.coordinator.agents.register("c", registration);
    const first = await subject.send({ requestId: "r", recipientAgentIds: ["b"] });
    await subject.coordinator.agents.deregister("c", "b");
    await expect(subject.send({ recipientAgentIds: ["b"] })).rejects.toMatchObject({ reason: "AGENT_NOT_FOUND" });
    const again = await subject.send({ requestId: "r", recipientAgentIds: ["b"] });
    expect(again).toEqual({ ...first, isDeduplicated: true });
  });

  test("is free again when its signal has left the history", async () => {
    await using subject = new CoordinatorUnderTest({ retentionSignals: 3 });
    await subject.send({ requestId: "r" });
    await subject.fill(2);
    expect(await subject.send({ requestId: "r" })).toMatchObject({ sequence: 1n, isDeduplicated: true });
    await subject.send();
    expect(await subject.send(saying("other", { requestId: "r" }))).toMatchObject({
      sequence: 5n,
      isDeduplicated: false,
    });
    expect(await subject.send(saying("other", { requestId: "r" }))).toMatchObject({
      sequence: 5n,
      isDeduplicated: true,
    });
  });

  test("is free again when its signal was rolled back", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    await subject.send({ requestId: "r" });
    await subject.coordinator.rollBack("c", { toSequence: 1n, reason: "", requestedBy: "" });
    expect(await subject.send(saying("other", { requestId: "r" }))).toMatchObject({
      sequence: 3n,
      isDeduplicated: false,
    });
  });

  test("gets the first answer after a restart", async () => {
    await using server = await openDurable();
    const first = await server.current.send(saying("one", { requestId: "r" }));
    await server.current.fill(5);
    const restarted = await server.restart();
    expect(await restarted.send(saying("one", { requestId: "r" }))).toEqual({ ...first, isDeduplicated: true });
    await expect(restarted.send(saying("two", { requestId: "r" }))).rejects.toMatchObject(reused);
  });
});

describe("expected_sequence", () => {
  test("stores only at that head, and says where the head is", async () => {
    await using subject = new CoordinatorUnderTest();
    await expect(subject.send({ expectedSequence: 1n })).rejects.toMatchObject({
      reason: "SEQUENCE_CONFLICT",
      metadata: { expected_sequence: "1", head_sequence: "0" },
    });
    await expect(subject.header()).rejects.toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
    expect(await subject.send({ expectedSequence: 0n })).toMatchObject({ sequence: 1n });
    await expect(subject.send({ expectedSequence: 0n })).rejects.toMatchObject({ reason: "SEQUENCE_CONFLICT" });
    expect(await subject.send({ expectedSequence: 1n })).toMatchObject({ sequence: 2n });
  });

  test("lets one of many through that expect the same", async () => {
    await using subject = new CoordinatorUnderTest();
    const sends = Array.from({ length: 20 }, () => subject.send({ expectedSequence: 0n }));
    const outcomes = await Promise.allSettled(sends);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  test("counts numbers that a rollback took out", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.fill(3);
    await subject.coordinator.rollBack("c", { toSequence: 1n, reason: "", requestedBy: "" });
    await expect(subject.send({ expectedSequence: 1n })).rejects.toMatchObject({ reason: "SEQUENCE_CONFLICT" });
    expect(await subject.send({ expectedSequence: 3n })).toMatchObject({ sequence: 4n });
  });
});

describe("an atomic batch", () => {
  test("is stored whole and adjacent among concurrent sends", async () => {
    await using subject = new CoordinatorUnderTest();
    const work: Promise<unknown>[] = [];
    for (let batch = 0; batch < 20; batch++) {
      work.push(subject.send(), subject.sendAtomically(Array.from({ length: 5 }, () => saying(`${batch}`))));
    }
    await Promise.all(work);
    const { entries } = await subject.history();
    expect(entries).toHaveLength(120);
    const messages = entries.map(({ signal }) =>
      signal.event.case === "interAgentMessage" ? signal.event.value.message : "",
    );
    for (let batch = 0; batch < 20; batch++) {
      const first = messages.indexOf(`${batch}`);
      expect(messages.slice(first, first + 5)).toEqual(Array.from({ length: 5 }, () => `${batch}`));
    }
  });

  test("that has one bad signal stores nothing, and says which it is", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    const batch = [{}, { requestId: "r" }, { recipientAgentIds: ["nobody"] }, {}];
    await expect(subject.sendAtomically(batch)).rejects.toMatchObject({
      reason: "AGENT_NOT_FOUND",
      message: expect.stringMatching(/^requests\[2\]: recipient "nobody"/),
      metadata: { index: "2", agent_id: "nobody" },
    });
    expect(await subject.header()).toMatchObject({ headSequence: 1n, revision: 1n });
    expect(await subject.send({ requestId: "r" })).toMatchObject({ sequence: 2n, isDeduplicated: false });
  });

  test("that begins a coordination and is refused leaves none", async () => {
    await using subject = new CoordinatorUnderTest();
    await expect(subject.sendAtomically([{}, { expectedSequence: 7n }])).rejects.toMatchObject({
      reason: "SEQUENCE_CONFLICT",
      metadata: { index: "1", head_sequence: "1" },
    });
    await expect(subject.header()).rejects.toMatchObject({ reason: "COORDINATION_NOT_FOUND" });
  });

  test("makes the agents of its first signals known to its later ones", async () => {
    await using subject = new CoordinatorUnderTest();
    const stored = await subject.sendAtomically([
      { senderAgentId: "a" },
      { senderAgentId: "b", recipientAgentIds: ["a"] },
    ]);
    expect(stored.map(({ sequence }) => sequence)).toEqual([1n, 2n]);
  });

  test("expects each sequence where its signal will be", async () => {
    await using subject = new CoordinatorUnderTest();
    const stored = await subject.sendAtomically([{ expectedSequence: 0n }, { expectedSequence: 1n }]);
    expect(stored).toHaveLength(2);
  });

  test("sent again as a whole gets the first answers", async () => {
    await using subject = new CoordinatorUnderTest();
    const batch = [saying("a", { requestId: "1" }), saying("b", { requestId: "2" })];
    const first = await subject.sendAtomically(batch);
    await subject.send();
    expect(await subject.sendAtomically(batch)).toEqual(first.map((each) => ({ ...each, isDeduplicated: true })));
    expect(await subject.header()).toMatchObject({ headSequence: 3n });
  });

  test("of which some is known is REQUEST_ID_REUSED and stores nothing", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send(saying("b", { requestId: "2" }));
    const partly = [saying("a", { requestId: "1" }), saying("b", { requestId: "2" })];
    await expect(subject.sendAtomically(partly)).rejects.toMatchObject({ ...reused, metadata: { index: "1" } });
    await expect(subject.sendAtomically([saying("b", { requestId: "2" }), {}])).rejects.toMatchObject(reused);
    expect(await subject.header()).toMatchObject({ headSequence: 1n });
  });

  test("known as a whole but with other content is REQUEST_ID_REUSED", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.sendAtomically([saying("a", { requestId: "1" }), saying("b", { requestId: "2" })]);
    const other = [saying("a", { requestId: "1" }), saying("c", { requestId: "2" })];
    await expect(subject.sendAtomically(other)).rejects.toMatchObject({ ...reused, metadata: { index: "1" } });
  });

  test("gets the first answers after a restart", async () => {
    await using server = await openDurable();
    const batch = [saying("a", { requestId: "1" }), saying("b", { requestId: "2" })];
    const first = await server.current.sendAtomically(batch);
    const restarted = await server.restart();
    expect(await restarted.sendAtomically(batch)).toEqual(first.map((each) => ({ ...each, isDeduplicated: true })));
  });

  test("to a closed coordination is COORDINATION_CLOSED", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    await subject.coordinator.closeCoordination("c", "all done");
    await expect(subject.sendAtomically([{}])).rejects.toMatchObject({
      reason: "COORDINATION_CLOSED",
      message: 'requests[0]: coordination "c" was closed: all done',
    });
  });
});

describe("timestamps", () => {
  test("never go back when the clock does, also after a restart", async () => {
    const clock = new ManualClock();
    await using server = await openDurable({ clock });
    const times: number[] = [];
    const send = async (): Promise<void> => void times.push((await server.current.send()).timestampMs);
    const startMs = clock.nowMs();
    await send();
    clock.advance(500);
    await send();
    clock.stepTo(startMs - 3_600_000);
    await send();
    await server.restart();
    await send();
    clock.stepTo(startMs + 501);
    await send();
    expect(times.map((time) => time - startMs)).toEqual([0, 500, 500, 500, 501]);
  });
});

describe("retention", () => {
  test("keeps exactly so many signals, and reports the oldest", async () => {
    await using subject = new CoordinatorUnderTest({ retentionSignals: 5 });
    for (const [sent, oldest] of [
      [3, 1],
      [2, 1],
      [1, 2],
      [600, 602],
      [1, 603],
    ] as const) {
      await subject.fill(sent);
      const { headSequence, oldestSequence } = await subject.header();
      expect(oldestSequence).toBe(BigInt(oldest));
      const { entries } = await subject.history();
      expect(entries.map(({ sequence }) => sequence).at(0)).toBe(oldestSequence);
      expect(entries.map(({ sequence }) => sequence).at(-1)).toBe(headSequence);
    }
  });

  test("is the same after a restart", async () => {
    await using server = await openDurable({ retentionSignals: 300 });
    await server.current.fill(1_000);
    await server.current.fill(1);
    const before = await server.current.header();
    expect(before.oldestSequence).toBe(702n);
    const restarted = await server.restart();
    expect(await restarted.header()).toMatchObject({ oldestSequence: 702n, headSequence: 1_001n });
    const { entries } = await restarted.history();
    expect(entries).toHaveLength(300);
    expect(entries[0]?.sequence).toBe(702n);
  });
});

describe("hostile words", () => {
  const words = [
    "__proto__",
    "constructor",
    "toString",
    "a".repeat(200),
    "ünïcode 依存 \u{1f600}",
    "quote\"'`;--",
    "a\\b",
  ];

  test.each(words)(
    "as dependency, metadata, request and payload %s stay themselves, also after a restart",
    async (word) => {
      await using server = await openDurable();
      const payload = Object.fromEntries([[word, { [word]: 1 }]]);
      const parts: RequestParts = {
        metadata: Object.fromEntries([[word, word]]),
        requestId: word.replaceAll(/[^ -~]/g, "?").slice(0, 128),
      };
      await server.current.send({
        ...parts,
        event: {
          case: "dependencyResolved",
          value: { dependencyType: "model", dependencyId: word, resolutionData: payload },
        },
      });
      const restarted = await server.restart();
      const [entry] = (await restarted.history()).entries;
      expect(Object.entries(entry?.signal.metadata ?? {})).toEqual([[word, word]]);
      const { event } = entry?.signal ?? {};
      if (event?.case !== "dependencyResolved") throw new Error(`the event is ${event?.case}`);
      expect(event.value.dependencyId).toBe(word);
      expect(JSON.stringify(event.value.resolutionData)).toBe(JSON.stringify(payload));
      const dependencies = await restarted.coordinator.look("c", ({ session }) => [...session.dependencies.values()]);
      expect(dependencies.map(({ dependencyId }) => dependencyId)).toEqual([word]);
    },
  );

  test.each(["constructor", "toString", "a".repeat(200), "A-1._:/z"])("as ids work as any other: %s", async (id) => {
    await using server = await openDurable();
    const send = (subject: CoordinatorUnderTest) => subject.send({ coordinationId: id, senderAgentId: id });
    await send(server.current);
    const reader = server.current.subscribe({ coordinationId: id, agentId: id, includeOwn: true });
    await reader.until("caughtUp");
    await send(server.current);
    await reader.untilSignals(1);
    await send(server.current);
    // What a reader was handed counts when it asks for more.
    await reader.untilSignals(2);
    const restarted = await server.restart();
    await send(restarted);
    expect(await restarted.header(id)).toMatchObject({ headSequence: 4n });
    await restarted.send({ coordinationId: id, senderAgentId: "other", recipientAgentIds: [id] });
    const received = await restarted.coordinator.look(id, ({ session }) => [...session.metrics.received.keys()]);
    expect(received).toEqual([id]);
  });
});
