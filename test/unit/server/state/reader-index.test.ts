import { SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import {
  concerns,
  type ParkedReader,
  ReaderIndex,
  type ReaderInterest,
} from "../../../../server/src/state/reader-index.js";
import { entryAt, type RequestParts } from "../../../support/log-entries.js";

const everyType = 0b11110;

/** An index with parked readers, and how often each was woken, by name. */
class ParkedReaders {
  readonly index = new ReaderIndex();
  readonly woken: string[] = [];

  park(name: string, interest: Partial<ReaderInterest>): ParkedReader {
    const reader = {
      interest: { agentId: "", typeMask: everyType, includeOwn: false, ...interest },
      wake: () => void this.woken.push(name),
    };
    this.index.park(reader);
    return reader;
  }

  wakeFor(...requests: readonly RequestParts[]): readonly string[] {
    this.index.wakeFor(requests.map((request, index) => entryAt(BigInt(index + 1), request)));
    return this.woken.splice(0).sort();
  }
}

describe("ReaderIndex", () => {
  test("says through where nothing concerned a reader that it wakes, unless the log has changed otherwise", () => {
    const index = new ReaderIndex();
    const passed: (bigint | undefined)[] = [];
    const reader = {
      interest: { agentId: "a", typeMask: everyType, includeOwn: false },
      wake: (sequence?: bigint) => void passed.push(sequence),
    };
    index.park(reader);
    index.wakeFor([
      entryAt(5n, { recipientAgentIds: ["b"] }),
      entryAt(6n, { recipientAgentIds: ["a"] }),
      entryAt(7n, {}),
    ]);
    index.park(reader);
    index.wakeAll();
    expect(passed).toEqual([5n, undefined]);
  });

  test("wakes everybody but the sender for a signal to everyone", () => {
    const readers = new ParkedReaders();
    readers.park("observer", {});
    readers.park("a", { agentId: "a" });
    readers.park("sender", { agentId: "sender" });
    readers.park("sender, own too", { agentId: "sender", includeOwn: true });
    expect(readers.wakeFor({})).toEqual(["a", "observer", "sender, own too"]);
  });

  test("wakes recipients and observers for a directed signal, and the sender who wants its own", () => {
    const readers = new ParkedReaders();
    readers.park("observer", {});
    for (const agentId of ["a", "b", "x", "sender"]) readers.park(agentId, { agentId });
    readers.park("sender, own too", { agentId: "sender", includeOwn: true });
    expect(readers.wakeFor({ recipientAgentIds: ["a", "b", "nobody"] })).toEqual([
      "a",
      "b",
      "observer",
      "sender, own too",
    ]);
  });

  test("wakes an agent for what it sends to itself", () => {
    const readers = new ParkedReaders();
    readers.park("sender", { agentId: "sender" });
    expect(readers.wakeFor({ recipientAgentIds: ["sender"] })).toEqual(["sender"]);
  });

  test("leaves those asleep who want other types", () => {
    const readers = new ParkedReaders();
    readers.park("messages", { typeMask: 1 << SignalType.INTER_AGENT_MESSAGE });
    readers.park("completions", { typeMask: 1 << SignalType.AGENT_COMPLETED });
    expect(readers.wakeFor({})).toEqual(["messages"]);
    expect(readers.wakeFor({ event: { case: "agentCompleted", value: {} } })).toEqual(["completions"]);
  });

  test("wakes a reader once for many signals, and not again until it parks again", () => {
    const readers = new ParkedReaders();
    readers.park("observer", {});
    expect(readers.wakeFor({}, {}, {})).toEqual(["observer"]);
    expect(readers.wakeFor({})).toEqual([]);
    readers.park("observer", {});
    expect(readers.wakeFor({})).toEqual(["observer"]);
  });

  test("wakes one of 1,000 parked readers for a signal to that one", () => {
    const readers = new ParkedReaders();
    for (let index = 0; index < 1_000; index++) readers.park(`agent-${index}`, { agentId: `agent-${index}` });
    expect(readers.wakeFor({ recipientAgentIds: ["agent-500"] })).toEqual(["agent-500"]);
    expect(readers.index.size).toBe(999);
  });

  test("wakes each of several readers of one agent", () => {
    const readers = new ParkedReaders();
    for (const name of ["first", "second", "third"]) readers.park(name, { agentId: "a" });
    expect(readers.wakeFor({ recipientAgentIds: ["a"] })).toEqual(["first", "second", "third"]);
  });

  test("wakes everybody for what is no signal", () => {
    const readers = new ParkedReaders();
    readers.park("observer", {});
    readers.park("a", { agentId: "a", typeMask: 0 });
    readers.index.wakeAll();
    expect(readers.woken.sort()).toEqual(["a", "observer"]);
    expect(readers.index.size).toBe(0);
  });

  test("forgets a reader that leaves, twice as well as once", () => {
    const readers = new ParkedReaders();
    const leaving = readers.park("a", { agentId: "a" });
    readers.park("b", { agentId: "a" });
    readers.index.leave(leaving);
    readers.index.leave(leaving);
    expect(readers.index.size).toBe(1);
    expect(readers.wakeFor({})).toEqual(["b"]);
    expect(readers.index.size).toBe(0);
  });

  test("lets a reader park again while it is being woken", () => {
    const index = new ReaderIndex();
    let wakes = 0;
    const reader: ParkedReader = {
      interest: { agentId: "a", typeMask: everyType, includeOwn: false },
      wake: () => {
        wakes += 1;
        if (wakes < 3) index.park(reader);
      },
    };
    index.park(reader);
    index.wakeAll();
    expect(wakes).toBe(1);
    expect(index.size).toBe(1);
  });

  test.each(["__proto__", "constructor", "toString"])("does not mistake the agent %s for something else", (agentId) => {
    const readers = new ParkedReaders();
    readers.park("other", { agentId: "other" });
    expect(readers.wakeFor({ recipientAgentIds: [agentId] })).toEqual([]);
    readers.park("it", { agentId });
    expect(readers.wakeFor({ recipientAgentIds: [agentId] })).toEqual(["it"]);
  });

  test("wakes whom a signal concerns, whoever reads, sends and receives", () => {
    const agents = ["", "a", "b"];
    for (const agentId of agents) {
      for (const includeOwn of [true, false]) {
        for (const senderAgentId of ["a", "b"]) {
          for (const recipientAgentIds of [[], ["a"], ["b"], ["a", "b"]]) {
            const interest = { agentId, includeOwn, typeMask: everyType };
            const readers = new ParkedReaders();
            readers.park("it", interest);
            const request = { senderAgentId, recipientAgentIds };
            const isWoken = readers.wakeFor(request).length === 1;
            expect({ ...request, ...interest, isWoken }).toEqual({
              ...request,
              ...interest,
              isWoken: concerns(interest, entryAt(1n, request)),
            });
          }
        }
      }
    }
  });
});
