import { describe, expect, test } from "@jest/globals";
import { decodeJson, encodeJson, messageBytes } from "../../../bench/src/load/bench-message.js";
import { decodeSignal, encodeSignal, numberOf } from "../../../bench/src/load/bench-signal.js";

describe("the message of the bench", () => {
  test("has 180 bytes in JSON", () => {
    expect(messageBytes).toBe(180);
    expect(Buffer.byteLength(encodeJson("sender-0", 123_456))).toBe(messageBytes);
  });

  test("is the same in JSON and as a signal", () => {
    const message = decodeJson(encodeJson("sender-0", 7));
    const { senderAgentId, event } = decodeSignal(encodeSignal("sender-0", 7));
    const { messageType, message: text, responseTimeoutMs } = message;
    expect(event.case).toBe(message.event);
    expect(event.value).toMatchObject({ messageType, message: text, responseTimeoutMs });
    expect(senderAgentId).toBe(message.senderAgentId);
  });

  test("carries its number as a signal", () => {
    expect(numberOf(decodeSignal(encodeSignal("sender-0", 1_234_567)))).toBe(1_234_567);
  });
});
