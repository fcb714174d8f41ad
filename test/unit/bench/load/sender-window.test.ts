import { describe, expect, test } from "@jest/globals";
import { SenderWindow } from "../../../bench/src/load/sender-window.js";

/** A sender whose acknowledgements a test gives. */
function manualSender() {
  const waiting: { readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = [];
  const numbers: number[] = [];
  const send = (number: number) => {
    numbers.push(number);
    return new Promise<void>((resolve, reject) => waiting.push({ resolve, reject }));
  };
  return { sender: { send, [Symbol.asyncDispose]: async () => {} }, waiting, numbers };
}

const unlimited = { maxUnacknowledged: 10, maxUndelivered: Number.POSITIVE_INFINITY };
const forever = 60_000;
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("SenderWindow", () => {
  test("keeps no more unacknowledged than it may", async () => {
    const { sender, waiting, numbers } = manualSender();
    const window = new SenderWindow(sender, { ...unlimited, maxUnacknowledged: 2 }, () => 0);
    const sending = window.sendFor(forever, 3);
    await turn();
    expect(numbers).toEqual([1, 2]);
    waiting[0]?.resolve();
    await turn();
    expect(numbers).toEqual([1, 2, 3]);
    for (const { resolve } of waiting) resolve();
    await sending;
    expect(window.sent).toBe(3);
  });

  test("ends only when everything is acknowledged", async () => {
    const { sender, waiting } = manualSender();
    const window = new SenderWindow(sender, unlimited, () => 0);
    let ended = false;
    const sending = window.sendFor(forever, 1).then(() => {
      ended = true;
    });
    await turn();
    expect(ended).toBe(false);
    waiting[0]?.resolve();
    await sending;
  });

  test("fails with the first send that fails", async () => {
    const { sender, waiting } = manualSender();
    const window = new SenderWindow(sender, unlimited, () => 0);
    const sending = window.sendFor(forever, 2);
    await turn();
    waiting[0]?.reject(new Error("refused"));
    waiting[1]?.resolve();
    await expect(sending).rejects.toThrow("refused");
  });

  test("waits for the slowest reader", async () => {
    let delivered = 0;
    const numbers: number[] = [];
    const sender = {
      send: async (number: number) => void numbers.push(number),
      [Symbol.asyncDispose]: async () => {},
    };
    const window = new SenderWindow(sender, { maxUnacknowledged: 1_000, maxUndelivered: 100 }, () => delivered);
    const sending = window.sendFor(forever, 300);
    await turn();
    expect(numbers.length).toBeLessThan(200);
    delivered = 300;
    await sending;
    expect(numbers).toHaveLength(300);
  });
});
