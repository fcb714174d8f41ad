import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { SendSignalRequestSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { encodeSend } from "../../../../client-sdk/src/sending/encode-send.js";
import type { OutgoingSignal, SignalEventInit } from "../../../../client-sdk/src/sending/outgoing-signal.js";
import { encodePlainSignal } from "../../../../client-sdk/src/sending/plain-signal-encoder.js";

const sender = { coordinationId: "c", agentId: "agent ü" };

const text = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.constantFrom("", "ü😀", "\ud800", "x".repeat(127), "ü".repeat(200)),
);
const texts = fc.option(fc.array(text, { maxLength: 3 }), { nil: undefined });
const optionalText = fc.option(text, { nil: undefined });
const flag = fc.option(fc.boolean(), { nil: undefined });
const double = fc.option(fc.double(), { nil: undefined });

const event: fc.Arbitrary<SignalEventInit> = fc.oneof(
  fc
    .record({ capabilities: texts, ready: flag, initializationTimeMs: double })
    .map((value) => ({ case: "agentInitialized" as const, value })),
  fc
    .record({
      resultSummary: optionalText,
      qualityScore: double,
      executionTimeMs: double,
      artifactsGenerated: texts,
      error: optionalText,
    })
    .map((value) => ({ case: "agentCompleted" as const, value })),
  fc
    .record({ dependencyType: text, dependencyId: text, resolvedBy: optionalText })
    .map((value) => ({ case: "dependencyResolved" as const, value })),
  fc
    .record({ messageType: text, message: optionalText, requiresResponse: flag, responseTimeoutMs: double })
    .map((value) => ({ case: "interAgentMessage" as const, value })),
);
const signal: fc.Arbitrary<OutgoingSignal> = fc.record({
  event,
  recipients: texts,
  priority: fc.constantFrom(undefined, "low", "normal", "high", "control"),
  correlationId: optionalText,
  metadata: fc.option(fc.dictionary(text, text, { maxKeys: 3 }), { nil: undefined }),
  requestId: fc.constant("request"),
  expectedSequence: fc.constantFrom(undefined, 0n, 127n, 128n, 2n ** 63n, 2n ** 64n - 1n),
});

/** What half a character becomes in UTF-8. */
const wellFormed = (text: string) => Buffer.from(text).toString();

describe("encodePlainSignal", () => {
  test("makes the bytes that the library makes", () => {
    fc.assert(
      fc.property(signal, (each) => {
        const encoded = encodePlainSignal(sender, each);
        expect(encoded).toBeDefined();
        const decoded = fromBinary(SendSignalRequestSchema, encoded ?? new Uint8Array());
        expect(toBinary(SendSignalRequestSchema, decoded)).toEqual(encoded);
        const { recipients = [], correlationId = "", metadata = {}, expectedSequence } = each;
        expect(decoded).toMatchObject({
          coordinationId: sender.coordinationId,
          senderAgentId: sender.agentId,
          recipientAgentIds: recipients.map((name) => wellFormed(name)),
          correlationId: wellFormed(correlationId),
          requestId: "request",
          event: { case: each.event.case },
        });
        expect(Object.keys(decoded.metadata)).toHaveLength(
          new Set(Object.keys(metadata).map((key) => wellFormed(key))).size,
        );
        expect(decoded.expectedSequence).toBe(expectedSequence);
      }),
      { numRuns: 500 },
    );
  });

  test("keeps what an event says", () => {
    const value = {
      resultSummary: "done",
      qualityScore: 0,
      executionTimeMs: 5.5,
      artifactsGenerated: ["a", ""],
      error: "",
    };
    const encoded = encodePlainSignal(sender, { event: { case: "agentCompleted", value }, requestId: "r" });
    const expected = create(SendSignalRequestSchema, {
      coordinationId: sender.coordinationId,
      senderAgentId: sender.agentId,
      requestId: "r",
      event: { case: "agentCompleted", value },
    });
    expect(encoded).toEqual(toBinary(SendSignalRequestSchema, expected));
  });

  test("leaves signals of one memory as they are when the next is encoded", () => {
    const encode = (message: string) =>
      encodeSend(sender, { event: { case: "interAgentMessage", value: { messageType: "note", message } } });
    const sends = Array.from({ length: 200 }, (_, index) => encode(`${index} ${"x".repeat(index)}`));
    const messages = sends.map(({ request }) => request.event.value);
    expect(messages).toMatchObject(
      Array.from({ length: 200 }, (_, index) => ({ message: `${index} ${"x".repeat(index)}` })),
    );
    expect(new Set(sends.map(({ request }) => request.requestId)).size).toBe(200);
  });

  test.each<[string, unknown]>([
    ["a payload", { event: { case: "interAgentMessage", value: { messageType: "a", payload: {} } } }],
    ["a large text", { event: { case: "interAgentMessage", value: { messageType: "a", message: "x".repeat(5_000) } } }],
    ["a number for a text", { event: { case: "interAgentMessage", value: { messageType: 5 } } }],
    ["a text for a number", { event: { case: "agentCompleted", value: { qualityScore: "1" } } }],
    ["a text for a flag", { event: { case: "agentInitialized", value: { ready: "yes" } } }],
    ["an unknown event", { event: { case: "news", value: {} } }],
    ["an unknown priority", { event: { case: "agentInitialized", value: {} }, priority: "urgent" }],
    ["an empty request id", { event: { case: "agentInitialized", value: {} }, requestId: "" }],
    ["a recipient that is no text", { event: { case: "agentInitialized", value: {} }, recipients: [1] }],
    ["metadata that is no text", { event: { case: "agentInitialized", value: {} }, metadata: { a: 1 } }],
    ["metadata that is nothing", { event: { case: "agentInitialized", value: {} }, metadata: null }],
    ["a sequence below zero", { event: { case: "agentInitialized", value: {} }, expectedSequence: -1n }],
    ["no event", { event: undefined }],
  ])("leaves %s to the library", (_, each) => {
    expect(encodePlainSignal(sender, each as OutgoingSignal)).toBeUndefined();
  });
});
