import { describe, expect, test } from "@jest/globals";
import type { ConditionState } from "../../../../../server/src/coordination/waits/condition-state.js";
import { CoordinationError } from "../../../../../server/src/model/coordination-error.js";
import { CoordinatorUnderTest } from "../../../../support/coordinator-under-test.js";
import { eventually } from "../../../../support/eventually.js";
import {
  completed,
  dependencyOf,
  messageFrom,
  signalThat,
  type WaitParts,
  waitRequest,
} from "../../../../support/wait-requests.js";

interface Call {
  readonly answer: Promise<string>;
  readonly abort: AbortController;
}

/** Begins to wait, and resolves when the wait is open. */
async function open({ coordinator }: CoordinatorUnderTest, parts: WaitParts): Promise<Call> {
  const before = (await graphSize(coordinator)) ?? 0;
  const abort = new AbortController();
  const answer = coordinator.waits.waitFor(waitRequest(parts), abort.signal).then(textOf, reasonOf);
  await eventually(async () => expect(await graphSize(coordinator)).toBe(before + 1));
  return { answer, abort };
}

async function graphSize(coordinator: CoordinatorUnderTest["coordinator"]): Promise<number | undefined> {
  const found = await coordinator.reports.waitGraph("c").catch(() => undefined);
  return found?.graph.waits.length;
}

function textOf(states: readonly ConditionState[]): string {
  return states.map((state) => (state.is === "satisfied" ? state.sequence : state.is)).join(" ");
}

function reasonOf(error: unknown): string {
  return error instanceof CoordinationError ? error.reason : String(error);
}

const resolved = (dependencyId: string) =>
  ({ case: "dependencyResolved", value: { dependencyType: "d", dependencyId } }) as const;
const go = { case: "interAgentMessage", value: { messageType: "go", message: "" } } as const;

describe("OpenWaits", () => {
  test("a rollback takes back what an open wait had seen", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    const conditions = [dependencyOf("d", "X"), messageFrom("go"), completed("worker")];
    const { answer } = await open(subject, { agentId: "w", conditions });
    await subject.send({ event: go });
    await subject.send({ event: resolved("X") });
    await eventually(async () => {
      const { graph } = await subject.coordinator.reports.waitGraph("c");
      expect(graph.waits[0]?.pending).toMatchObject([{ conditionIndex: 2 }]);
    });
    await subject.coordinator.rollBack("c", { toSequence: 1n, reason: "", requestedBy: "" });
    await eventually(async () => {
      const { graph } = await subject.coordinator.reports.waitGraph("c");
      expect(graph.waits[0]?.pending).toHaveLength(3);
    });
    await subject.send({ senderAgentId: "worker", event: { case: "agentCompleted", value: {} } });
    await subject.send({ event: resolved("X") });
    await subject.send({ event: go });
    expect(await answer).toBe("5 6 4");
  });

  test("a signal that has left the history since it came still counts", async () => {
    await using subject = new CoordinatorUnderTest({ retentionSignals: 2 });
    const { answer } = await open(subject, { agentId: "w", conditions: [messageFrom("go"), dependencyOf("d", "X")] });
    await subject.send({ event: go });
    await eventually(async () => {
      const { graph } = await subject.coordinator.reports.waitGraph("c");
      expect(graph.waits[0]?.pending).toHaveLength(1);
    });
    await subject.fill(5);
    await subject.send({ event: resolved("X") });
    expect(await answer).toBe("1 7");
  });

  test("a wait that would close a loop is refused before anybody sees it", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    const { answer, abort } = await open(subject, { agentId: "a", conditions: [completed("b")] });
    const mostWaits = await subject.coordinator.look("c", ({ session }) => {
      let most = session.waits.size;
      session.parkedWaits.watchBlocking(() => {
        most = Math.max(most, session.waits.size);
      });
      return () => most;
    });
    const closing = waitRequest({ agentId: "b", conditions: [completed("a")] });
    const refused = subject.coordinator.waits.waitFor(closing, new AbortController().signal);
    await expect(refused).rejects.toMatchObject({ reason: "DEADLOCK" });
    expect(mostWaits()).toBe(1);
    abort.abort();
    await answer;
  });

  test("a signal that nobody has looked at yet breaks the loop that a wait right behind it would close", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    for (let round = 1; round <= 10; round++) {
      const [a, b] = [`a${round}`, `b${round}`];
      const first = await open(subject, { agentId: a, conditions: [messageFrom("go", [b]), completed("late")] });
      // Both are in one commit: the first wait learns of the signal only when the second one was looked at.
      const sent = subject.send({ senderAgentId: b, event: go });
      const second = open(subject, { agentId: b, conditions: [completed(a)] });
      await sent;
      const { answer, abort } = await second;
      abort.abort();
      first.abort.abort();
      expect(await answer).toContain("AbortError");
      await first.answer;
      await eventually(async () => expect(await graphSize(subject.coordinator)).toBe(0));
    }
  });

  test("a wait that is left while it is being opened leaves no trace", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    // It leads back to its agent, so that only the lock tells that it is no loop.
    const { answer, abort } = await open(subject, { agentId: "a", conditions: [completed("b")] });
    const leaving = new AbortController();
    const conditions = [completed("a"), dependencyOf("d", "X")];
    const left = subject.coordinator.waits.waitFor(
      waitRequest({ agentId: "b", conditions, mode: "any" }),
      leaving.signal,
    );
    leaving.abort();
    await expect(left).rejects.toMatchObject({ name: "AbortError" });
    // What is sent afterwards is stored after whatever was on its way.
    await subject.send();
    await subject.send();
    expect(await graphSize(subject.coordinator)).toBe(1);
    abort.abort();
    await answer;
  });

  test("a thousand waits cost a signal for one of them nothing", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    const aborts = Array.from({ length: 1_000 }, () => new AbortController());
    const calls = aborts.map(({ signal }, index) =>
      subject.coordinator.waits
        .waitFor(waitRequest({ agentId: `w${index}`, conditions: [dependencyOf("d", `${index}`)] }), signal)
        .then(textOf, reasonOf),
    );
    await eventually(async () => expect(await graphSize(subject.coordinator)).toBe(1_000));
    const wakes = await subject.coordinator.look("c", ({ session }) => {
      let count = 0;
      session.parkedWaits.park({ dependencies: ["d\n7"] }, () => {
        count += 1;
      });
      return () => count;
    });
    await subject.send({ event: resolved("6") });
    expect(wakes()).toBe(0);
    await subject.send({ event: resolved("7") });
    expect(wakes()).toBe(1);
    expect(await calls[6]).toBe("2");
    expect(await calls[7]).toBe("3");
    for (const abort of aborts) abort.abort();
    await Promise.all(calls);
  });

  test("a wait that begins beside a hundred others looks only at those it depends on", async () => {
    await using subject = new CoordinatorUnderTest();
    await subject.send();
    const aborts = Array.from({ length: 101 }, () => new AbortController());
    const begin = (index: number, expectedFrom: string) =>
      subject.coordinator.waits
        .waitFor(
          waitRequest({ agentId: `w${index}`, conditions: [dependencyOf("d", `${index}`, [expectedFrom])] }),
          aborts[index]?.signal ?? AbortSignal.abort(),
        )
        .then(textOf, reasonOf);
    const calls = Array.from({ length: 100 }, (_, index) => begin(index, "resolver"));
    const openCount = () => subject.coordinator.look("c", ({ session }) => session.waits.size);
    await eventually(async () => expect(await openCount()).toBe(100));
    const looks = await subject.coordinator.look("c", ({ session }) => {
      let count = 0;
      const all = session.waits as Map<string, unknown>;
      const counted = <T>(iterate: () => T) => {
        const original = iterate.bind(all);
        return () => {
          count += 1;
          return original();
        };
      };
      all.values = counted(all.values);
      all.entries = counted(all.entries);
      all[Symbol.iterator] = counted(all[Symbol.iterator]);
      session.parkedWaits.watchBlocking(() => {
        count += 1;
      });
      return () => count;
    });
    calls.push(begin(100, "w7"));
    await eventually(async () => expect(await openCount()).toBe(101));
    expect(looks()).toBe(0);
    await subject.send({ event: resolved("42") });
    expect(await calls[42]).toBe("2");
    for (const abort of aborts) abort.abort();
    await Promise.all(calls);
  });

  test("ends every wait when the coordinator drains, and leaves none in memory", async () => {
    const subject = new CoordinatorUnderTest();
    await subject.send();
    const calls = [
      await open(subject, { agentId: "a", conditions: [dependencyOf("d", "X")] }),
      await open(subject, { agentId: "b", conditions: [messageFrom("go")] }),
    ];
    subject.coordinator.drain();
    expect(await Promise.all(calls.map(({ answer }) => answer))).toEqual(["SHUTTING_DOWN", "SHUTTING_DOWN"]);
    const late = subject.coordinator.waits.waitFor(
      waitRequest({ agentId: "c", conditions: [dependencyOf("d", "X")] }),
      new AbortController().signal,
    );
    await expect(late).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
    await subject.dispose();
  });

  test("waits on a coordination that never begins leave nothing of it in memory", async () => {
    await using subject = new CoordinatorUnderTest();
    const { answer, abort } = await open(subject, { agentId: "a", conditions: [dependencyOf("d", "X")] });
    abort.abort();
    expect(await answer).toContain("AbortError");
    await eventually(async () => expect(await graphSize(subject.coordinator)).toBeUndefined());
    expect(subject.store.count()).toBe(0);
  });

  test("a wait whose filter is too dear ends with FILTER_BUDGET_EXCEEDED", async () => {
    await using subject = new CoordinatorUnderTest();
    const payload = { list: Array.from({ length: 4_000 }, (_, index) => index) };
    await subject.send({ event: { case: "interAgentMessage", value: { messageType: "x", message: "", payload } } });
    const list = "signal.inter_agent_message.payload.list";
    const conditions = [signalThat({ expression: `${list}.all(x, x in ${list})` })];
    const request = waitRequest({ agentId: "a", conditions });
    const call = subject.coordinator.waits.waitFor(request, new AbortController().signal);
    await expect(call).rejects.toMatchObject({
      reason: "FILTER_BUDGET_EXCEEDED",
    });
  });
});
