import { describe, expect, test } from "@jest/globals";
import { AgentActivity, isRenewalDue } from "../../../../server/src/state/agent-activity.js";
import { isKnownAgent, unknownAgent } from "../../../../server/src/state/agent-record.js";

const registered = { ...unknownAgent("a", 8_000), isRegistered: true, lastHeartbeatMs: 1_000, lastProgressMs: 500 };

describe("AgentActivity", () => {
  test("was last heard of when the journal says so, unless something came later", () => {
    const activity = new AgentActivity();
    expect(activity.lastHeardMs(registered, 9_000)).toBe(1_000);
    activity.note("a", 700, false);
    expect(activity.lastHeardMs(registered, 9_000)).toBe(1_000);
    activity.note("a", 2_000, false);
    expect(activity.lastHeardMs(registered, 9_000)).toBe(2_000);
  });

  test("does not go back with the clock", () => {
    const activity = new AgentActivity();
    activity.note("a", 3_000, true);
    activity.note("a", 2_000, true);
    expect(activity.lastHeardMs(registered, 9_000)).toBe(3_000);
    expect(activity.lastProgressMs(registered)).toBe(3_000);
  });

  test("tells progress from a sign of life", () => {
    const activity = new AgentActivity();
    activity.note("a", 2_000, false);
    expect(activity.lastProgressMs(registered)).toBe(500);
    activity.note("a", 2_500, true);
    expect(activity.lastProgressMs(registered)).toBe(2_500);
  });

  test("hears of an agent for as long as one of its subscriptions is open", () => {
    const activity = new AgentActivity();
    activity.subscriptionOpened("a");
    activity.subscriptionOpened("a");
    activity.subscriptionClosed("a");
    expect(activity.lastHeardMs(registered, 99_000)).toBe(99_000);
    activity.subscriptionClosed("a");
    expect(activity.lastHeardMs(registered, 99_000)).toBe(1_000);
  });

  test("forgets agents that are not kept, but not their open subscriptions", () => {
    const activity = new AgentActivity();
    activity.note("a", 5_000, true);
    activity.note("b", 5_000, true);
    activity.subscriptionOpened("b");
    activity.keepOnly((agentId) => agentId === "a");
    expect(activity.lastHeardMs(registered, 9_000)).toBe(5_000);
    expect(activity.lastProgressMs({ ...registered, agentId: "b" })).toBe(500);
    expect(activity.lastHeardMs({ ...registered, agentId: "b" }, 9_000)).toBe(9_000);
  });
});

describe("isRenewalDue", () => {
  test("is, when an eighth of the lease has passed since the last one was written", () => {
    expect(isRenewalDue(registered, 1_999)).toBe(false);
    expect(isRenewalDue(registered, 2_000)).toBe(true);
  });

  test("is never, for one that is not registered", () => {
    expect(isRenewalDue({ ...registered, isRegistered: false }, 99_000)).toBe(false);
  });
});

describe("isKnownAgent", () => {
  test("knows who is registered and who has sent", () => {
    expect(isKnownAgent(undefined)).toBe(false);
    expect(isKnownAgent(unknownAgent("a", 1))).toBe(false);
    expect(isKnownAgent(registered)).toBe(true);
    expect(isKnownAgent({ ...unknownAgent("a", 1), firstSequence: "1" })).toBe(true);
  });
});
