import { describe, expect, test } from "@jest/globals";
import { Draft } from "../../../../server/src/state/draft.js";
import { decodeEndedWait, type EndedWaitRecord, maxEndedWaits } from "../../../../server/src/state/ended-wait.js";
import { SessionState } from "../../../../server/src/state/session-state.js";
import type { CoordinationChange } from "../../../../server/src/store/signal-store.js";
import { headerOf } from "../../../support/log-entries.js";

function endedWait(number: number): EndedWaitRecord {
  return {
    waitId: `w${number}`,
    agentId: "a",
    conditions: [],
    conditionCount: 0,
    mode: "all",
    needed: 0,
    independent: false,
    startTimeMs: number,
    endTimeMs: number,
    outcome: "satisfied",
    sequences: {},
    endSequence: undefined,
  };
}

function sessionWith(endedWaits: number): SessionState {
  return new SessionState("c", { header: headerOf({ endedWaits }), records: [] }, "0");
}

function draftOf(session: SessionState): Draft {
  return new Draft({
    session,
    nowMs: 5,
    acceptedAtMs: 5,
    retentionSignals: 100,
    countBeginning: () => () => undefined,
    knownRequests: new Map(),
    sharesWaits: false,
  });
}

/** What the next commit writes of ended waits. */
function written(session: SessionState, change?: (draft: Draft) => void) {
  const draft = draftOf(session);
  change?.(draft);
  const part = draft.toCommitPart() as CoordinationChange | undefined;
  const records = part?.records.filter(({ kind }) => kind === "endedWait") ?? [];
  return {
    draft,
    part,
    waits: records.map(({ key, value }) => [key, value === undefined ? "" : decodeEndedWait(value).waitId]),
  };
}

const changeSomething = (draft: Draft) => {
  draft.changeHeader({}, { kind: "agentHeartbeat", actors: [] });
};

describe("ended waits", () => {
  test("go with the next change, and by themselves only when they are asked to", () => {
    const session = sessionWith(0);
    session.endedWaits.add(endedWait(1));
    expect(written(session).part).toBeUndefined();
    expect(written(session, changeSomething).waits).toEqual([["0000", "w1"]]);
    expect(written(session, (draft) => draft.writeEndedWaits()).waits).toEqual([["0000", "w1"]]);
  });

  test("wait for the next commit until one is durable, and are then written no more", () => {
    const session = sessionWith(0);
    session.endedWaits.add(endedWait(1));
    const { draft } = written(session, changeSomething);
    session.endedWaits.add(endedWait(2));
    expect(written(session, changeSomething).waits).toHaveLength(2);
    session.apply(draft);
    expect(session.header?.endedWaits).toBe(1);
    expect(written(session, changeSomething).waits).toEqual([["0001", "w2"]]);
  });

  test("take the places of those that ended longest ago", () => {
    const session = sessionWith(maxEndedWaits - 1);
    session.endedWaits.add(endedWait(1));
    session.endedWaits.add(endedWait(2));
    expect(written(session, changeSomething)).toMatchObject({
      waits: [
        ["0999", "w1"],
        ["0000", "w2"],
      ],
      part: { header: { endedWaits: maxEndedWaits + 1 } },
    });
  });

  test("that many others have followed before a write are counted, and not kept", () => {
    const session = sessionWith(0);
    const total = 2 * maxEndedWaits + 5;
    for (let number = 0; number < total; number++) session.endedWaits.add(endedWait(number));
    const { draft, waits, part } = written(session, changeSomething);
    expect(waits.length).toBeLessThan(total);
    expect(waits.at(-1)?.[1]).toBe(`w${total - 1}`);
    expect(part?.header.endedWaits).toBe(total);
    session.apply(draft);
    expect(session.endedWaits).toMatchObject({ waiting: [], dropped: 0 });
  });

  test("leave with their coordination", () => {
    const session = sessionWith(0);
    session.endedWaits.add(endedWait(1));
    const draft = draftOf(session);
    draft.remove();
    session.apply(draft);
    expect(session.endedWaits.waiting).toEqual([]);
  });
});
