import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import { SignalBatchSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { SignalBatchDecoder } from "../../../../client-sdk/src/transport/signal-batch-decoder.js";
import { fullEnvelope, fullEvents } from "../../../support/sample-signals.js";

const decodeSignalBatch = (lengthAndBytes: Uint8Array) => new SignalBatchDecoder().delimitedBatch(lengthAndBytes);

type SignalInit = MessageInitShape<typeof CoordinationSignalSchema>;

/** As it stands in a field: behind its length. */
const behindLength = (bytes: Uint8Array) => new BinaryWriter().bytes(bytes).finish();

const encode = (signals: readonly SignalInit[]) =>
  toBinary(
    SignalBatchSchema,
    create(SignalBatchSchema, {
      signals: signals.map((signal) => create(CoordinationSignalSchema, signal)),
      cursor: "cursor",
      afterSequence: 3n,
      throughSequence: 12n,
    }),
  );

const full = (event: NonNullable<SignalInit["event"]>): SignalInit => ({
  ...fullEnvelope,
  signalId: "0190b8a0-0000-7000-8000-000000000009",
  coordinationId: "c",
  sequence: 7n,
  timestamp: { seconds: 1_700_000_000n, nanos: 123_000_000 },
  event,
});

const text = fc.oneof(fc.string({ maxLength: 20 }), fc.constantFrom("", "ü😀", "__proto__", "x".repeat(300)));
const signal = fc.record(
  {
    signalId: text,
    coordinationId: text,
    sequence: fc.constantFrom(0n, 1n, 127n, 128n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 64n - 1n),
    senderAgentId: text,
    recipientAgentIds: fc.array(text, { maxLength: 3 }),
    priority: fc.constantFrom(0, 4, 9),
    correlationId: text,
    metadata: fc.dictionary(text, text, { maxKeys: 3 }),
    requestId: text,
    timestamp: fc.constantFrom(
      { seconds: 0n, nanos: 0 },
      { seconds: -1n, nanos: 5 },
      { seconds: 4_000_000_000n, nanos: 1 },
    ),
    event: fc.oneof(
      fc.constantFrom(...Object.values(fullEvents)),
      fc
        .record({ messageType: text, message: text, requiresResponse: fc.boolean(), responseTimeoutMs: fc.double() })
        .map((value) => ({ case: "interAgentMessage" as const, value })),
      fc.constant({ case: undefined }),
    ),
  },
  { requiredKeys: [] },
);

describe("SignalBatchDecoder", () => {
  test("makes of any signals what the library makes of them", () => {
    let decoded = 0;
    fc.assert(
      fc.property(fc.array(signal, { maxLength: 4 }), (signals) => {
        const bytes = encode(signals as SignalInit[]);
        const expected = fromBinary(SignalBatchSchema, bytes);
        let batch: ReturnType<typeof decodeSignalBatch>;
        try {
          batch = decodeSignalBatch(behindLength(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
        if (batch === undefined) return;
        decoded += 1;
        expect(batch).toEqual(expected);
        expect(toBinary(SignalBatchSchema, batch)).toEqual(toBinary(SignalBatchSchema, expected));
      }),
      { numRuns: 500 },
    );
    // One that leaves everything to the library would pass.
    expect(decoded).toBeGreaterThan(50);
  });

  test.each(Object.values(fullEvents))("decodes every field of a signal with %p", (event) => {
    const bytes = encode([full(event), {}]);
    expect(decodeSignalBatch(behindLength(bytes))).toEqual(fromBinary(SignalBatchSchema, bytes));
  });

  test("keeps fields that are newer than this package", () => {
    const unknown = new BinaryWriter().tag(99, WireType.LengthDelimited).string("news").finish();
    const newer = Buffer.concat([
      toBinary(CoordinationSignalSchema, create(CoordinationSignalSchema, full(fullEvents.agentCompleted))),
      unknown,
    ]);
    const bytes = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(newer).finish();
    const batch = decodeSignalBatch(behindLength(bytes));
    expect(batch).toEqual(fromBinary(SignalBatchSchema, bytes));
    expect(batch?.signals[0]?.$unknown).toHaveLength(1);
    expect(decodeSignalBatch(behindLength(unknown))).toBeUndefined();
  });

  test("takes no signal that is cut off for a whole one", () => {
    const bytes = encode([full(fullEvents.interAgentMessage)]);
    for (let length = 0; length < bytes.length; length += 1) {
      const cut = bytes.subarray(0, length);
      const whole = behindLength(bytes).subarray(0, length + 1);
      expect(() => decodeSignalBatch(whole)).toThrow();
      let expected: unknown;
      try {
        expected = fromBinary(SignalBatchSchema, cut);
      } catch {
        expected = undefined;
      }
      let batch: unknown;
      try {
        batch = decodeSignalBatch(behindLength(cut));
      } catch {
        batch = undefined;
      }
      expect(batch).toEqual(expected);
    }
  });
});
