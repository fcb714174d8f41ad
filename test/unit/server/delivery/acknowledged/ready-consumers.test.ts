import { expect, test } from "@jest/globals";
import { Consumer } from "../../../../../server/src/delivery/acknowledged/consumer.js";
import { readyConsumers } from "../../../../../server/src/delivery/acknowledged/ready-consumers.js";

function consumerOf(id: string, isReady = true): Consumer {
  const consumer = new Consumer(id);
  if (isReady) consumer.ready();
  return consumer;
}

function capacities(consumers: readonly Consumer[], leased: Readonly<Record<string, number>>, maxOutstanding: number) {
  const ready = readyConsumers(new Set(consumers), new Map(Object.entries(leased)), maxOutstanding);
  return ready.map(({ consumer, capacity }) => [consumer.id, capacity]);
}

test("consumers have equal shares of what may be outstanding, and those that are busy keep theirs", () => {
  const consumers = [consumerOf("a"), consumerOf("b"), consumerOf("busy", false)];
  expect(capacities(consumers, { b: 1, busy: 3 }, 9)).toEqual([
    ["a", 3],
    ["b", 2],
  ]);
});

test("a consumer that has more than its share, because it was alone, gets nothing until it has less", () => {
  expect(capacities([consumerOf("a"), consumerOf("b")], { a: 4 }, 4)).toEqual([
    ["a", 0],
    ["b", 2],
  ]);
});

test("a consumer on another server that has something has a share as those here have", () => {
  expect(capacities([consumerOf("a")], { there: 1 }, 4)).toEqual([["a", 2]]);
  expect(capacities([consumerOf("a")], { there: 1, elsewhere: 3, a: 2 }, 6)).toEqual([["a", 0]]);
});

test("where there are more consumers than may be outstanding, each may have one", () => {
  expect(capacities([consumerOf("a")], { there: 1 }, 1)).toEqual([["a", 1]]);
});
