import { describe, expect, test } from "@jest/globals";
import { SessionMetrics } from "../../../../server/src/state/session-metrics.js";

const maxReceivingAgents = 10_000;

describe("SessionMetrics", () => {
  test("counts by agent and type, and propagation where it was measured", () => {
    const metrics = new SessionMetrics();
    metrics.count("a", 1, 1, 5);
    metrics.count("a", 4, 1, undefined);
    metrics.count("a", 4, 1, 15);
    metrics.count("", 2, 1, undefined);
    expect([...(metrics.received.get("a") ?? [])]).toEqual([0, 1, 0, 0, 2]);
    expect([...(metrics.received.get("") ?? [])]).toEqual([0, 0, 1, 0, 0]);
    expect(metrics.propagation).toMatchObject({ count: 2, sum: 20, max: 15 });
  });

  test("keeps apart agents with names that objects have already", () => {
    const metrics = new SessionMetrics();
    for (const agentId of ["__proto__", "constructor"]) metrics.count(agentId, 3, 1, undefined);
    const restored = new SessionMetrics();
    restored.restore(metrics.encode());
    expect([...restored.received.keys()]).toEqual(["__proto__", "constructor"]);
  });

  test("is what it was after it was encoded and restored", () => {
    const metrics = new SessionMetrics();
    for (let milliseconds = 1; milliseconds <= 100; milliseconds++) metrics.count("a", 4, 1, milliseconds);
    const restored = new SessionMetrics();
    restored.restore(metrics.encode());
    expect([...(restored.received.get("a") ?? [])]).toEqual([0, 0, 0, 0, 100]);
    expect(restored.propagation.toJSON()).toEqual(metrics.propagation.toJSON());
    restored.count("a", 4, 1, 1);
    expect([...(restored.received.get("a") ?? [])]).toEqual([0, 0, 0, 0, 101]);
  });

  test("knows whether something is to be written", () => {
    const metrics = new SessionMetrics();
    expect(metrics.isDirty).toBe(false);
    metrics.count("a", 1, 1, undefined);
    expect(metrics.isDirty).toBe(true);
    metrics.markWritten();
    expect(metrics.isDirty).toBe(false);
    metrics.markUnwritten();
    expect(metrics.isDirty).toBe(true);
  });

  test("keeps counts of 10,000 agents by name, and of all together", () => {
    const metrics = new SessionMetrics();
    for (let index = 0; index < maxReceivingAgents + 5; index++) metrics.count(`agent-${index}`, 1, 1, 2);
    expect(metrics.received.size).toBe(maxReceivingAgents);
    expect(metrics.propagation.count).toBe(maxReceivingAgents + 5);
    metrics.count("agent-0", 1, 1, 2);
    expect(metrics.received.get("agent-0")?.[1]).toBe(2);
    const restored = new SessionMetrics();
    restored.restore(metrics.encode());
    for (const { receivedByType } of [metrics, restored]) {
      expect([...receivedByType]).toEqual([0, maxReceivingAgents + 6, 0, 0, 0]);
    }
  });

  test("adds up what agents received where it was written without its sum", () => {
    const restored = new SessionMetrics();
    const received = [
      ["a", [0, 1, 0, 0, 2]],
      ["b", [0, 3, 0, 0, 0]],
    ];
    restored.restore(Buffer.from(JSON.stringify({ received, propagation: { sum: 0, max: 0, buckets: [] } })));
    expect([...restored.receivedByType]).toEqual([0, 4, 0, 0, 2]);
  });
});
