import { describe, expect, test } from "@jest/globals";
import { DeliveryCheck, type ExpectedOrder } from "../../../bench/src/load/delivery-check.js";

/** A check that was handed these numbers of one sender. */
function handed(numbers: readonly number[], order: ExpectedOrder = "published"): DeliveryCheck {
  const check = new DeliveryCheck("reader-0", order);
  for (const number of numbers) check.arrived("sender-0", number);
  return check;
}

describe("DeliveryCheck", () => {
  test("accepts everything once and in order", () => {
    const check = handed([1, 2, 3]);
    check.arrived("sender-1", 1);
    expect(() => check.assertComplete(4)).not.toThrow();
  });

  test("finds a message that was lost", () => {
    expect(() => handed([1, 3]).assertComplete(3)).toThrow("message 3 of sender-0 came before 2");
    expect(() => handed([1, 3], "any").assertComplete(3)).toThrow("message 2 of sender-0 was lost");
  });

  test("finds a loss at the end", () => {
    expect(() => handed([1, 2]).assertComplete(3)).toThrow("2 messages arrived, 3 were sent");
  });

  test.each<ExpectedOrder>(["published", "any"])("finds a message that was doubled (order: %s)", (order) => {
    expect(() => handed([1, 2, 2], order).assertComplete(3)).toThrow("message 2 of sender-0 was doubled or is late");
    expect(() => handed([1, 3, 3, 2], order).assertComplete(4)).toThrow("message 3 of sender-0");
  });

  test("finds messages that were reordered, where order is promised", () => {
    expect(() => handed([1, 3, 2]).assertComplete(3)).toThrow("message 3 of sender-0 came before 2");
    expect(() => handed([1, 3, 2, 4], "any").assertComplete(4)).not.toThrow();
  });

  test("names the first fault and the reader", () => {
    expect(() => handed([2, 1, 1]).assertComplete(3)).toThrow("reader-0: message 2 of sender-0 came before 1");
  });

  test("resolves once so many have arrived", async () => {
    const check = handed([1]);
    await check.reached(1);
    const two = check.reached(2);
    check.arrived("sender-0", 2);
    await two;
    expect(check.count).toBe(2);
  });
});
