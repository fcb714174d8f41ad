import { create, fromBinary, type JsonObject, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createValidator } from "@bufbuild/protovalidate";
import {
  BatchSendSignalsRequestSchema,
  SendSignalRequestSchema,
  StreamSignalsRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { prepareSignal } from "../../../../server/src/model/prepare-signals.js";
import { factsOfSignal } from "../../../../server/src/model/signal-facts.js";
import { decodeRequest } from "../../../../server/src/rpc/decode-request.js";
import { RequestValidator } from "../../../../server/src/rpc/validate-request.js";
import { WireBatch, WireSend, WireStreamBatch } from "../../../../server/src/rpc/wire-send/wire-send.js";
import { fullEnvelope, fullEvents, notes } from "../../../support/sample-signals.js";

type Parts = Exclude<MessageInitShape<typeof SendSignalRequestSchema>, { readonly $typeName: string }>;

const validator = createValidator();
const read = (bytes: Uint8Array) => decodeRequest(SendSignalRequestSchema, bytes);
const encoded = (parts: Parts) =>
  toBinary(
    SendSignalRequestSchema,
    create(SendSignalRequestSchema, { coordinationId: "c", senderAgentId: "a", ...parts }),
  );
const messageWith = (payload: JsonObject): Parts => ({ event: { case: "interAgentMessage", value: { payload } } });

function isMessage(bytes: Uint8Array): boolean {
  try {
    fromBinary(SendSignalRequestSchema, bytes);
    return true;
  } catch {
    return false;
  }
}

/** Whether a request is read where it lies; if it is, that says the same as the library, the rules and the preparation. */
function isRead(bytes: Uint8Array): boolean {
  const before = bytes.slice();
  const request = read(bytes);
  expect(bytes).toEqual(before);
  if (!(request instanceof WireSend)) return false;
  const message = fromBinary(SendSignalRequestSchema, bytes);
  expect(validator.validate(SendSignalRequestSchema, message)).toMatchObject({ kind: "valid" });
  const { coordinationId, senderAgentId, recipientAgentIds, priority, correlationId, metadata, requestId } = request;
  const { event, expectedSequence, requiredAcks } = request;
  expect({
    coordinationId,
    senderAgentId,
    recipientAgentIds,
    priority,
    correlationId,
    metadata,
    requestId,
    requiredAcks,
    event,
  }).toEqual({ ...message, $typeName: undefined, expectedSequence: undefined });
  expect(expectedSequence).toBe(message.expectedSequence);
  const prepared = prepareSignal(message);
  expect(Buffer.from(request.prepared.body)).toEqual(Buffer.from(prepared.body));
  expect(request.prepared.facts).toEqual(prepared.facts);
  expect(request.prepared.facts).toEqual(factsOfSignal(request.prepared.signal));
  expect(request.prepared.requestKey).toBe(prepared.requestKey);
  return true;
}

/** Texts around every bound and character that a rule or an order of keys speaks of. */
const text = fc.oneof(
  { weight: 50, arbitrary: fc.constantFrom("a", "B9", "A.b:c/d_e-f", "zz") },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...["", "9", "10", "-a", "a b", "a\n", "\u007f", "\u0000", "ü", "漢", "😀", "\ufeffa", "\ue000", "__proto__"],
      ...["constructor", "toString", "a@b", "~ ~"],
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(126, 127, 128, 129, 199, 200, 201, 257, 1_025, 4_097).map((n) => "x".repeat(n)),
  },
  { weight: 1, arbitrary: fc.constantFrom(100, 101, 300).map((length) => "😀".repeat(length)) },
  { weight: 1, arbitrary: fc.string({ maxLength: 12 }) },
);
const number = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom(undefined, 1, 0.5) },
  { weight: 1, arbitrary: fc.constantFrom(0, -0, 1.5, -1, -1e-300, Number.NaN, Number.POSITIVE_INFINITY) },
);
const struct = fc.option(
  fc.oneof(
    fc.dictionary(text, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 5 }) as fc.Arbitrary<JsonObject>,
    fc.constantFrom<JsonObject>(
      {},
      { a: [] },
      { b: 1, a: { d: null, c: [{ f: true, e: [] }] } },
      { a: -0 },
      nested(14),
      nested(30),
    ),
  ),
  { nil: undefined },
);
const present = (fields: object) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
const texts = fc.array(text, { maxLength: 3 });
const agentId = fc.constantFrom("", "", "a", "other");
const event = fc.oneof(
  fc
    .record({
      messageType: text,
      message: text,
      requiresResponse: fc.boolean(),
      responseTimeoutMs: number,
      payload: struct,
    })
    .map((value) => ({ case: "interAgentMessage", value: present(value) })),
  fc
    .record({ dependencyType: text, dependencyId: text, resolvedBy: text, resolutionData: struct })
    .map((value) => ({ case: "dependencyResolved", value: present(value) })),
  fc
    .record({ agentId, capabilities: texts, ready: fc.boolean(), initializationTimeMs: number })
    .map((value) => ({ case: "agentInitialized", value: present(value) })),
  fc
    .record({
      agentId,
      resultSummary: text,
      qualityScore: number,
      executionTimeMs: number,
      artifactsGenerated: texts,
      error: fc.option(text, { nil: undefined }),
    })
    .map((value) => ({ case: "agentCompleted", value: present(value) })),
);
const parts = fc
  .record(
    {
      coordinationId: text,
      senderAgentId: text,
      recipientAgentIds: fc.oneof(
        texts,
        fc.constantFrom(16, 17).map((count) => Array.from({ length: count }, (_, at) => `r${at}`)),
      ),
      priority: fc.constantFrom(0, 1, 2, 4, 5),
      correlationId: text,
      metadata: fc.oneof(
        fc.dictionary(text, text, { maxKeys: 4 }),
        fc
          .constantFrom(64, 65)
          .map((count) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, "v"]))),
      ),
      requestId: text,
      expectedSequence: fc.constantFrom(0n, 1n, 127n, 128n, 2n ** 49n - 1n, 2n ** 49n, 2n ** 63n - 1n, 2n ** 63n),
      requiredAcks: fc.oneof({ weight: 9, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: texts }),
      ackTimeout: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, fc.constant(durationFromMs(5))),
      event,
    },
    { requiredKeys: ["event"] },
  )
  .map((fields) => present(fields) as Parts);

function nested(levels: number): JsonObject {
  let value: JsonObject = {};
  for (let level = 1; level < levels; level++) value = { nested: value };
  return value;
}

/** The fields of a message, each with its tag. */
function fieldsOf(bytes: Uint8Array): Uint8Array[] {
  const reader = new BinaryReader(bytes);
  const fields: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [number, wireType] = reader.tag();
    reader.skip(wireType, number);
    fields.push(bytes.slice(start, reader.pos));
  }
  return fields;
}

describe("decodeRequest: a SendSignalRequest", () => {
  test("is read where it lies only where that says what library, rules and preparation say", () => {
    let count = 0;
    fc.assert(
      fc.property(parts, (random) => {
        if (isRead(encoded(random))) count += 1;
      }),
      { numRuns: 1_000 },
    );
    // A reader that leaves everything to the library would pass.
    expect(count).toBeGreaterThan(80);
  }, 60_000);

  test("is understood as the library does in whatever order and number its fields come", () => {
    fc.assert(
      fc.property(parts, fc.array(fc.nat()), (random, picks) => {
        const fields = fieldsOf(encoded(random));
        isRead(
          Buffer.concat([
            ...fields.slice(picks.length),
            ...picks.map((pick) => fields[pick % fields.length] ?? fields[0] ?? Buffer.of()),
          ]),
        );
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  test("is understood as the library does whichever of its bytes is another", () => {
    fc.assert(
      fc.property(parts, fc.nat(), fc.nat(255), (random, place, byte) => {
        const bytes = encoded(random);
        bytes[place % bytes.length] = byte;
        if (isMessage(bytes)) isRead(bytes);
        // What is no message to the library is none to anybody.
        else expect(() => read(bytes)).toThrow();
      }),
      { numRuns: 1_000 },
    );
  }, 60_000);

  test("is read where it lies whatever agents send", () => {
    for (const each of Object.values(fullEvents)) {
      const senderAgentId = "model-generator";
      expect(
        isRead(encoded({ ...fullEnvelope, metadata: { a: "", traceparent: "00-1" }, senderAgentId, event: each })),
      ).toBe(true);
      expect(isRead(encoded({ event: each, senderAgentId }))).toBe(true);
    }
    expect(isRead(encoded({ event: { case: "agentCompleted", value: {} } }))).toBe(true);
    expect(isRead(encoded({ event: { case: "agentInitialized", value: { ready: true } } }))).toBe(true);
    const resolved = { dependencyType: "model", dependencyId: "User", resolutionData: { b: 1, a: 2 } };
    expect(isRead(encoded({ event: { case: "dependencyResolved", value: resolved } }))).toBe(true);
  });

  test("is read where it lies in whatever order its maps are", () => {
    const payload = { z: 1, a: { y: [{ d: "", c: "" }], b: null }, m: [] };
    expect(isRead(encoded({ ...messageWith(payload), metadata: { z: "1", größe: "2", a: "3" } }))).toBe(true);
    expect(isRead(encoded(messageWith(nested(15))))).toBe(true);
  });

  test.each<[string, Parts]>([
    ["keys that look like an index", messageWith({ b: 1, 10: 2, 9: 3 })],
    ["keys that UTF-8 and UTF-16 order differently", messageWith({ "\ue000": 1, "😀": 2 })],
    ["an event of another agent", { event: { case: "agentCompleted", value: { agentId: "b" } } }],
    ["a signal that is too large", { event: { case: "interAgentMessage", value: { message: "x".repeat(300_000) } } }],
    ["a field that breaks a rule", { event: { case: "interAgentMessage", value: {} }, requestId: "ü" }],
    ["no event", {}],
    ["an acknowledgement that is required", { ...messageWith({}), requiredAcks: ["b"] }],
    ["a time to wait for acknowledgements", { ...messageWith({}), ackTimeout: durationFromMs(1) }],
  ])("is left to the library for %s", (_, odd) => {
    expect(isRead(encoded(odd))).toBe(false);
  });

  test.each<[string, readonly number[]]>([
    ["a length in more bytes than it needs", [0x0a, 0x81, 0x00, 0x63]],
    ["a length beyond its end", [0x0a, 0x7f, 0x63]],
    ["a value that absence says", [...encoded({}), 0x20, 0x00]],
    ["a field that is not known", [...encoded({}), 0x98, 0x06, 0x01]],
    ["nothing at all", []],
  ])("is left to the library for %s", (_, bytes) => {
    const event = [0x9a, 0x01, 0x00];
    expect(() => expect(isRead(Uint8Array.from([...bytes, ...event]))).toBe(false)).not.toThrow(/prepared/);
  });

  test("with a key twice is left to the library", () => {
    const [entry = Buffer.of()] = fieldsOf(structBytes({ a: 1 }));
    const struct = Buffer.concat([fieldsOf(structBytes({ b: 1 }))[0] ?? entry, entry, entry]);
    const event = new BinaryWriter().tag(5, WireType.LengthDelimited).bytes(struct).finish();
    const bytes = new BinaryWriter().tag(19, WireType.LengthDelimited).bytes(event).finish();
    const envelope = fieldsOf(encoded(messageWith({}))).slice(0, 2);
    expect(isRead(Buffer.concat([...envelope, bytes]))).toBe(false);
  });
});

/** The bytes of a Struct. */
function structBytes(value: JsonObject): Uint8Array {
  const event = new BinaryReader(fieldsOf(encoded(messageWith(value))).at(-1) ?? Buffer.of());
  event.tag();
  const content = new BinaryReader(event.bytes());
  content.tag();
  return content.bytes();
}

describe("decodeRequest: a batch", () => {
  const requests = notes("c", 3).map((each) => create(SendSignalRequestSchema, each as Parts));
  const odd = create(SendSignalRequestSchema, { coordinationId: "not an id", senderAgentId: "a" });

  test.each([false, true])("is read where it lies, in both calls, atomic: %s", (atomic) => {
    const batch = create(BatchSendSignalsRequestSchema, { requests, atomic });
    const unary = decodeRequest(BatchSendSignalsRequestSchema, toBinary(BatchSendSignalsRequestSchema, batch));
    const stream = create(StreamSignalsRequestSchema, { batch });
    const streamed = decodeRequest(StreamSignalsRequestSchema, toBinary(StreamSignalsRequestSchema, stream));
    expect(unary).toBeInstanceOf(WireBatch);
    expect(streamed).toBeInstanceOf(WireStreamBatch);
    for (const read of [unary as WireBatch, (streamed as WireStreamBatch).batch]) {
      expect(read.atomic).toBe(atomic);
      expect(read.requests.map((each) => each instanceof WireSend)).toEqual([true, true, true]);
      expect(read.requests.map(({ event }) => event)).toEqual(requests.map(({ event }) => event));
    }
  });

  test("is read with its flag in front of its requests and behind them", () => {
    const bytes = toBinary(BatchSendSignalsRequestSchema, create(BatchSendSignalsRequestSchema, { requests }));
    const flag = Buffer.of(0x10, 1);
    for (const both of [Buffer.concat([flag, bytes]), Buffer.concat([bytes, flag])]) {
      expect(decodeRequest(BatchSendSignalsRequestSchema, both)).toMatchObject({ atomic: true });
      expect(decodeRequest(BatchSendSignalsRequestSchema, both)).toBeInstanceOf(WireBatch);
    }
  });

  test("holds messages where requests are unusual, which are checked then", () => {
    const batch = create(BatchSendSignalsRequestSchema, { requests: [...requests, odd, ...requests] });
    const read = decodeRequest(
      BatchSendSignalsRequestSchema,
      toBinary(BatchSendSignalsRequestSchema, batch),
    ) as WireBatch;
    expect(read.requests.map((each) => each instanceof WireSend)).toEqual([true, true, true, false, true, true, true]);
    const rules = new RequestValidator();
    expect(() => rules.validate(BatchSendSignalsRequestSchema, read)).not.toThrow();
    expect(() => rules.validate(SendSignalRequestSchema, read.requests[3] ?? odd)).toThrow("coordination_id");
  });

  test.each([
    ["none", 0],
    ["more than it may", 1_001],
  ])("of %s is left to the library and the rules", (_, count) => {
    const first = requests[0] ?? odd;
    const batch = create(BatchSendSignalsRequestSchema, { requests: Array.from({ length: count }, () => first) });
    const read = decodeRequest(BatchSendSignalsRequestSchema, toBinary(BatchSendSignalsRequestSchema, batch));
    expect(read).not.toBeInstanceOf(WireBatch);
    expect(() => new RequestValidator().validate(BatchSendSignalsRequestSchema, read as WireBatch)).toThrow("requests");
  });

  test("that is cut off within a request is refused as the library refuses it", () => {
    const bytes = toBinary(BatchSendSignalsRequestSchema, create(BatchSendSignalsRequestSchema, { requests }));
    const cut = bytes.subarray(0, bytes.length - 1);
    expect(() => decodeRequest(BatchSendSignalsRequestSchema, cut)).toThrow();
    expect(() => fromBinary(BatchSendSignalsRequestSchema, cut)).toThrow();
  });
});
