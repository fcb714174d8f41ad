import { describe, expect, test } from "@jest/globals";
import { StatusFeed } from "../../../client-sdk/src/status-feed.js";

describe("StatusFeed", () => {
  test("hands each event to every reader, from the moment it was made", async () => {
    const feed = new StatusFeed<number>();
    const first = feed.read();
    feed.emit(1);
    const second = feed.read();
    feed.emit(2);
    expect([await first.next(), await first.next(), await second.next()].map(({ value }) => value)).toEqual([1, 2, 2]);
  });

  test("wakes a reader that waits", async () => {
    const feed = new StatusFeed<number>();
    const waiting = feed.read().next();
    feed.emit(1);
    expect(await waiting).toEqual({ done: false, value: 1 });
  });

  test("ends readers when they have read what they hold", async () => {
    const feed = new StatusFeed<number>();
    const [lagging, waiting] = [feed.read(), feed.read()];
    feed.emit(1);
    await waiting.next();
    const last = waiting.next();
    feed.end();
    expect(await last).toMatchObject({ done: true });
    expect([await lagging.next(), await lagging.next()]).toMatchObject([{ value: 1 }, { done: true }]);
    expect(await feed.read().next()).toMatchObject({ done: true });
  });

  test("drops the oldest events of a reader that lags 256 behind", async () => {
    const feed = new StatusFeed<number>();
    const reader = feed.read();
    for (let event = 1; event <= 300; event += 1) feed.emit(event);
    feed.end();
    const events: number[] = [];
    for await (const event of reader) events.push(event);
    expect([events.length, events[0], events.at(-1)]).toEqual([256, 45, 300]);
  });

  test("forgets a reader that breaks off", async () => {
    const feed = new StatusFeed<number>();
    const reader = feed.read();
    feed.emit(1);
    for await (const event of reader) {
      expect(event).toBe(1);
      break;
    }
    feed.emit(2);
    expect(await reader.next()).toMatchObject({ done: true });
  });
});
