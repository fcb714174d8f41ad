import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "@jest/globals";
import { OpenResources } from "../../../../client-sdk/src/open-resources.js";
import { SignalHandlers } from "../../../../client-sdk/src/subscription/signal-handlers.js";
import { createLatch } from "../support/latch.js";

const handled = 20_000;
/** A signal's share that would be noticed; what a race leaves behind is some 300 bytes. */
const keptBytesPerSignal = 50;

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

function heapBytes(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

describe("SignalHandlers", () => {
  test("keeps nothing of what was handled beside a handler that takes long", async () => {
    const gate = createLatch();
    let bytes = 0;
    async function* signals() {
      yield "long";
      for (let count = 0; count < handled; count += 1) {
        if (count === handled / 2) bytes = heapBytes();
        yield "short";
      }
      bytes = heapBytes() - bytes;
      gate.open();
    }
    const source = Object.assign(signals(), { close: async () => undefined });
    const open = new OpenResources();
    const handle = async (signal: string) => (signal === "long" ? gate.promise : undefined);
    const handlers = new SignalHandlers({ source, handle, maxConcurrent: 2, signal: undefined, open });
    await handlers.finished;
    expect(bytes).toBeLessThan((handled / 2) * keptBytesPerSignal);
    expect(open.size).toBe(0);
  });
});
