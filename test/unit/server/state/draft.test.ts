import { describe, expect, test } from "@jest/globals";
import { prepareSignal } from "../../../../server/src/model/prepare-signals.js";
import { unknownAgent } from "../../../../server/src/state/agent-record.js";
import { Draft } from "../../../../server/src/state/draft.js";
import { SessionState } from "../../../../server/src/state/session-state.js";
import type { WaitRecord } from "../../../../server/src/state/wait-record.js";
import { messageRequest, type RequestParts } from "../../../support/log-entries.js";

const nowMs = 1_700_000_000_000;

function draftOf(
  session = new SessionState("c", undefined, "0"),
  options: { readonly retentionSignals?: number } = {},
) {
  let begun = 0;
  const draft = new Draft({
    session,
    nowMs,
    acceptedAtMs: 5,
    retentionSignals: 100,
    countBeginning: () => {
      begun += 1;
      return () => {
        begun -= 1;
      };
    },
    knownRequests: new Map(),
    sharesWaits: false,
    ...options,
  });
  return { draft, session, begun: () => begun };
}

const prepared = (parts: RequestParts = {}) => prepareSignal(messageRequest(parts));
const agent = (agentId: string, capabilities: readonly string[] = []) => ({
  ...unknownAgent(agentId, 1),
  capabilities,
});
const dependency = (dependencyId: string, sequence: number) => ({
  dependencyType: "model",
  dependencyId,
  resolvedBy: "a",
  sequence: String(sequence),
  resolveTimeMs: sequence,
});

class Refusal extends Error {}

function refuse(): never {
  throw new Refusal("refused");
}

describe("Draft.transact", () => {
  test("keeps what an operation did and answers what it answers", () => {
    const { draft } = draftOf();
    expect(draft.transact((inner) => inner.append(prepared()).sequence)).toBe(1n);
    expect(draft.entries).toHaveLength(1);
    expect(draft.header).toMatchObject({ headSequence: 1n, revision: 1n, sentByType: [0, 0, 0, 0, 1] });
  });

  test("leaves the draft as it was before an operation that throws", () => {
    const { draft, begun } = draftOf();
    draft.transact(() => {
      draft.append(prepared({ requestId: "kept" }));
      draft.putAgent(agent("a", ["before"]));
      draft.putDependency(dependency("kept", 1), 10);
    });
    const before = draft.toCommitPart();
    expect(() =>
      draft.transact(() => {
        draft.append(prepared({ requestId: "undone" }));
        draft.putAgent(agent("a", ["after"]));
        draft.putAgent(agent("b"));
        draft.removeAgent("a");
        draft.putDependency(dependency("kept", 2), 10);
        draft.putDependency(dependency("undone", 2), 10);
        draft.putRecord({ kind: "metrics", key: "0", value: Buffer.from("x") });
        draft.changeHeader({ closeTimeMs: 1 }, { kind: "closed", actors: [] });
        refuse();
      }),
    ).toThrow(Refusal);
    expect(draft.toCommitPart()).toEqual(before);
    expect(draft.agent("a")).toEqual(agent("a", ["before"]));
    expect(draft.agent("b")).toBeUndefined();
    expect(draft.findRequest(prepared({ requestId: "undone" }).requestKey ?? "")).toBeUndefined();
    expect(begun()).toBe(1);
  });

  test("does not begin a coordination whose first operation throws", () => {
    const { draft, begun } = draftOf();
    expect(() => draft.transact(() => [draft.append(prepared()), refuse()])).toThrow(Refusal);
    expect(draft.header).toBeUndefined();
    expect(draft.toCommitPart()).toBeUndefined();
    expect(begun()).toBe(0);
  });

  test("undoes an inner operation alone, and with an outer one everything in it", () => {
    const { draft } = draftOf();
    expect(() =>
      draft.transact(() => {
        draft.append(prepared());
        draft.putAgent(agent("outer"));
        expect(() => draft.transact(() => [draft.putAgent(agent("inner")), refuse()])).toThrow(Refusal);
        expect([...draft.agents()].map(({ agentId }) => agentId)).toEqual(["outer"]);
        draft.transact(() => [draft.append(prepared()), draft.putAgent(agent("second"))]);
        expect(draft.headSequence).toBe(2n);
        refuse();
      }),
    ).toThrow(Refusal);
    expect(draft.headSequence).toBe(0n);
    expect([...draft.agents()]).toEqual([]);
  });

  test("gives the number of an undone signal to the next one", () => {
    const { draft } = draftOf();
    expect(() => draft.transact(() => [draft.append(prepared()), refuse()])).toThrow(Refusal);
    expect(draft.transact(() => draft.append(prepared()).sequence)).toBe(1n);
  });
});

describe("Draft: signals", () => {
  test("have timestamps that do not go back when the clock does", () => {
    const { draft, session } = draftOf();
    draft.append(prepared());
    session.apply(draft);
    const later = new Draft({
      session,
      nowMs: nowMs - 60_000,
      acceptedAtMs: 6,
      retentionSignals: 100,
      countBeginning: () => refuse,
      knownRequests: new Map(),
      sharesWaits: false,
    });
    const { timestamp } = later.append(prepared()).signal;
    expect(timestamp).toMatchObject({ seconds: BigInt(nowMs / 1000), nanos: 0 });
    expect(later.header?.lastSignalTimeMs).toBe(nowMs);
  });

  test("leave the history by count, exactly", () => {
    const { draft } = draftOf(undefined, { retentionSignals: 3 });
    const oldest = [1, 2, 3, 4, 5].map(() => {
      draft.append(prepared());
      return draft.header?.oldestSequence;
    });
    expect(oldest).toEqual([1n, 1n, 1n, 2n, 3n]);
  });

  test("are found by their request as long as they are in history, also those of the same draft", () => {
    const { draft } = draftOf(undefined, { retentionSignals: 2 });
    const first = prepared({ requestId: "r" });
    draft.append(first);
    const key = first.requestKey ?? "";
    expect(draft.findRequest(key)?.sequence).toBe(1n);
    draft.append(prepared());
    expect(draft.findRequest(key)?.sequence).toBe(1n);
    draft.append(prepared());
    expect(draft.findRequest(key)).toBeUndefined();
  });

  test("of earlier commits are found only in history", () => {
    const { draft, session } = draftOf();
    const known = draft.append(prepared({ requestId: "r" }));
    draft.append(prepared());
    session.apply(draft);
    const key = known.requestKey ?? "";
    const next = (retentionSignals: number) =>
      new Draft({
        session,
        nowMs,
        acceptedAtMs: 6,
        retentionSignals,
        countBeginning: () => refuse,
        knownRequests: new Map([[key, known]]),
        sharesWaits: false,
      });
    const roomy = next(3);
    roomy.append(prepared());
    expect(roomy.findRequest(key)?.sequence).toBe(1n);
    const tight = next(2);
    expect(tight.findRequest(key)?.sequence).toBe(1n);
    tight.append(prepared());
    expect(tight.findRequest(key)).toBeUndefined();
  });
});

describe("Draft: dependencies", () => {
  const names = (session: SessionState) => [...session.dependencies.values()].map(({ dependencyId }) => dependencyId);

  test("are kept in the order of their last resolution, also within one commit", () => {
    const { draft, session } = draftOf();
    draft.begin();
    for (const [at, id] of ["a", "b", "c", "a"].entries()) draft.putDependency(dependency(id, at + 1), 10);
    session.apply(draft);
    expect(names(session)).toEqual(["b", "c", "a"]);
  });

  test("past the limit the one resolved longest ago is forgotten", () => {
    const { draft, session } = draftOf();
    draft.begin();
    for (const [at, id] of ["a", "b", "c"].entries()) draft.putDependency(dependency(id, at + 1), 3);
    session.apply(draft);
    const { draft: next } = draftOf(session);
    next.putDependency(dependency("d", 4), 3);
    next.putDependency(dependency("e", 5), 3);
    session.apply(next);
    expect(names(session)).toEqual(["c", "d", "e"]);
  });

  test("resolved again is not the one resolved longest ago", () => {
    const { draft, session } = draftOf();
    draft.begin();
    for (const [at, id] of ["a", "b", "c"].entries()) draft.putDependency(dependency(id, at + 1), 3);
    session.apply(draft);
    const { draft: next } = draftOf(session);
    next.putDependency(dependency("a", 4), 3);
    next.putDependency(dependency("d", 5), 3);
    session.apply(next);
    expect(names(session)).toEqual(["c", "a", "d"]);
  });

  test("beyond the limit in one commit are forgotten as well", () => {
    const { draft, session } = draftOf();
    draft.begin();
    for (let at = 1; at <= 10; at++) draft.putDependency(dependency(`d${at}`, at), 3);
    session.apply(draft);
    expect(names(session)).toEqual(["d8", "d9", "d10"]);
  });
});

describe("Draft: agents", () => {
  test("are counted exactly", () => {
    const { draft, session } = draftOf();
    draft.begin();
    for (const id of ["a", "b"]) draft.putAgent(agent(id));
    expect(draft.agentCount).toBe(2);
    session.apply(draft);
    const { draft: next } = draftOf(session);
    next.putAgent(agent("a", ["again"]));
    expect(next.agentCount).toBe(2);
    next.removeAgent("b");
    expect(next.agentCount).toBe(1);
    next.putAgent(agent("c"));
    expect(next.agentCount).toBe(2);
  });

  test("are seen as they will be", () => {
    const { draft, session } = draftOf();
    draft.begin();
    for (const id of ["a", "b"]) draft.putAgent(agent(id));
    session.apply(draft);
    const { draft: next } = draftOf(session);
    next.putAgent(agent("a", ["new"]));
    next.removeAgent("b");
    next.putAgent(agent("__proto__"));
    expect([...next.agents()].map(({ agentId }) => agentId)).toEqual(["a", "__proto__"]);
    expect(next.agent("a")?.capabilities).toEqual(["new"]);
    expect(next.agent("b")).toBeUndefined();
  });
});

describe("Draft.toCommitPart", () => {
  test("is nothing where nothing changed", () => {
    const { draft, session } = draftOf();
    expect(draft.toCommitPart()).toBeUndefined();
    draft.append(prepared());
    session.apply(draft);
    expect(draftOf(session).draft.toCommitPart()).toBeUndefined();
  });

  test("builds on the version that it was made from", () => {
    const { draft, session } = draftOf();
    draft.append(prepared());
    expect(draft.toCommitPart()).toMatchObject({ action: "write", expected: undefined });
    session.apply(draft);
    const { draft: next } = draftOf(session);
    next.append(prepared());
    expect(next.toCommitPart()).toMatchObject({
      expected: { epoch: session.header?.epoch, commits: session.header?.commits },
    });
  });

  test("removes what exists, and nothing where it began in the same commit", () => {
    const { draft, session } = draftOf();
    draft.append(prepared());
    draft.remove();
    expect(draft.toCommitPart()).toBeUndefined();
    const { draft: first } = draftOf(session);
    first.append(prepared());
    session.apply(first);
    const { draft: next } = draftOf(session);
    next.remove();
    expect(next.toCommitPart()).toMatchObject({ action: "remove", coordinationId: "c" });
  });
});

describe("Draft.waits", () => {
  const waitOf = (waitId: string, agentId: string): WaitRecord => ({
    ...{ waitId, agentId, conditions: [], mode: "all", needed: 1, independent: false },
    ...{ startTimeMs: 0, expireTimeMs: 1, owner: "server", matched: {} },
  });
  const idsOf = (waits: readonly WaitRecord[]) => waits.map(({ waitId }) => waitId);

  test("finds an agent's waits among those that were open, put, removed and taken back", () => {
    const { draft: before, session } = draftOf();
    before.waits.put(waitOf("a1", "a"));
    before.waits.put(waitOf("a2", "a"));
    session.applyTransient(before);
    const { draft } = draftOf(session);
    draft.waits.put(waitOf("a3", "a"));
    draft.waits.put(waitOf("b1", "b"));
    draft.waits.remove("a1");
    expect(() =>
      draft.transact((inner) => {
        inner.waits.put(waitOf("a4", "a"));
        refuse();
      }),
    ).toThrow(Refusal);
    expect(idsOf(draft.waits.ofAgent("a"))).toEqual(["a2", "a3"]);
    expect(idsOf(draft.waits.ofAgent("b"))).toEqual(["b1"]);
    expect(draft.waits.ofAgent("c")).toEqual([]);
  });

  test("says whether one of those that were put may leave agents waiting for each other", () => {
    const { draft } = draftOf();
    draft.waits.put(waitOf("a1", "a"), false);
    expect(draft.waits.changes.mayBlock).toBe(false);
    draft.waits.put(waitOf("b1", "b"));
    expect(draft.waits.changes.mayBlock).toBe(true);
  });
});
