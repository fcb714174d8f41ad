import { create, fromBinary, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { CoordinationSignalSchema, Priority } from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../../../server/src/model/coordination-error.js";
import { maxSignalBytes } from "../../../../server/src/model/limits.js";
import { LogEntry } from "../../../../server/src/model/log-entry.js";
import { prepareSignal, prepareSignals } from "../../../../server/src/model/prepare-signals.js";
import { isRepetition, placeSignal, type SignalPosition } from "../../../../server/src/model/prepared-signal.js";
import { factsOfSignal } from "../../../../server/src/model/signal-facts.js";
import { messageRequest, type RequestParts } from "../../../support/log-entries.js";

const signalId = "01890000-0000-7000-8000-0123456789ab";

const position: SignalPosition = {
  signalId: Buffer.from(signalId),
  sequence: 7n,
  timestampMs: 1_700_000_000_123,
  acceptedAtMs: 5.25,
};

const prepare = (parts: RequestParts = {}) => prepareSignal(messageRequest(parts));

/** What a request is told from others by that have its request_id. */
const contentOf = (parts: RequestParts): string =>
  Buffer.from(prepare({ requestId: "r", ...parts }).body).toString("hex");

const messageWith = (payload: JsonObject): RequestParts => ({
  event: { case: "interAgentMessage", value: { messageType: "note", message: "hello", payload } },
});

function refusalOf(parts: RequestParts): CoordinationError {
  try {
    prepare(parts);
  } catch (error) {
    if (error instanceof CoordinationError) return error;
    throw error;
  }
  throw new Error("the request was accepted");
}

const everyField: RequestParts = {
  recipientAgentIds: ["b", "a"],
  priority: Priority.HIGH,
  correlationId: "01890000-0000-7000-8000-000000000000",
  metadata: { traceparent: "00-a-b-01", a: "" },
  requestId: "request 1",
  expectedSequence: 3n,
};

const events: readonly Required<RequestParts>["event"][] = [
  {
    case: "agentInitialized",
    value: { agentId: "sender", capabilities: ["x", "y"], ready: true, initializationTimeMs: 12.5 },
  },
  {
    case: "agentCompleted",
    value: {
      agentId: "sender",
      resultSummary: "5 models",
      qualityScore: 0.95,
      executionTimeMs: 0,
      artifactsGenerated: ["a.ts"],
      error: "",
    },
  },
  {
    case: "dependencyResolved",
    value: { dependencyType: "model", dependencyId: "Benutzer ü", resolvedBy: "x", resolutionData: { a: [1, null] } },
  },
  {
    case: "interAgentMessage",
    value: { messageType: "note", message: "hi", requiresResponse: true, responseTimeoutMs: 5, payload: { b: {} } },
  },
];

describe("placeSignal", () => {
  test.each(events)("makes bytes that decode to its message: %j", (event) => {
    const entry = placeSignal(prepare({ ...everyField, event }), position);
    const decoded = fromBinary(CoordinationSignalSchema, entry.bytes);
    expect(decoded).toEqual(entry.signal);
    expect(decoded.$unknown).toBeUndefined();
    expect(toBinary(CoordinationSignalSchema, decoded)).toHaveLength(entry.bytes.length);
    expect(decoded).toEqual(
      create(CoordinationSignalSchema, {
        signalId,
        coordinationId: "c",
        sequence: 7n,
        senderAgentId: "sender",
        timestamp: { seconds: 1_700_000_000n, nanos: 123_000_000 },
        recipientAgentIds: ["b", "a"],
        priority: Priority.HIGH,
        correlationId: "01890000-0000-7000-8000-000000000000",
        metadata: { traceparent: "00-a-b-01", a: "" },
        requestId: "request 1",
        event,
      }),
    );
  });

  test.each([
    [1n, 0],
    [127n, 1],
    [128n, 999],
    [300n, 1_000],
    [2n ** 32n - 1n, 1_001],
    [2n ** 32n, 4_294_967_295_999],
    [2n ** 35n + 5n, 1_700_000_000_000],
    [2n ** 63n - 1n, 253_402_300_799_999],
    [2n ** 64n - 1n, 1_700_000_000_001],
  ])("writes sequence %d at time %d as protobuf does", (sequence, timestampMs) => {
    const entry = placeSignal(prepare(), { ...position, sequence, timestampMs });
    const { timestamp, ...decoded } = fromBinary(CoordinationSignalSchema, entry.bytes);
    expect(decoded.sequence).toBe(sequence);
    expect(timestamp?.seconds).toBe(BigInt(Math.floor(timestampMs / 1000)));
    expect(timestamp?.nanos).toBe((timestampMs % 1000) * 1_000_000);
    expect(entry.signal).toEqual({ ...decoded, timestamp });
  });

  test("places one prepared signal twice without one knowing of the other", () => {
    const prepared = prepare();
    const first = placeSignal(prepared, position);
    const second = placeSignal(prepared, { ...position, sequence: 8n });
    expect([first.signal.sequence, second.signal.sequence, prepared.signal.sequence]).toEqual([7n, 8n, 0n]);
    expect(fromBinary(CoordinationSignalSchema, first.bytes).sequence).toBe(7n);
  });

  test("keeps when it was accepted", () => {
    expect(placeSignal(prepare(), position).acceptedAtMs).toBe(5.25);
  });

  test("makes an entry that says of itself what its bytes say", () => {
    const entry = placeSignal(prepare(everyField), position);
    const stored = new LogEntry({ sequence: 7n, bytes: entry.bytes });
    expect([entry.signalId, entry.timestampMs]).toEqual([signalId, position.timestampMs]);
    expect([stored.signalId, stored.timestampMs]).toEqual([signalId, position.timestampMs]);
    expect(stored.facts).toEqual(entry.facts);
    expect(factsOfSignal(entry.signal)).toEqual(entry.facts);
    expect([stored.requestKey, stored.priority]).toEqual([entry.requestKey, entry.priority]);
  });
});

describe("prepareSignal: limits", () => {
  const sized = (length: number): RequestParts => ({
    event: { case: "interAgentMessage", value: { message: "x".repeat(length) } },
  });
  const overhead = prepare(sized(200_000)).body.length - 200_000;

  test("takes a signal that is 256 KiB wherever it is placed, and refuses one byte more", () => {
    const longest = maxSignalBytes - overhead - 68;
    const last = { ...position, sequence: 2n ** 64n - 1n, timestampMs: 253_402_300_799_999 };
    expect(placeSignal(prepare(sized(longest)), last).bytes.length).toBeLessThanOrEqual(maxSignalBytes);
    expect(refusalOf(sized(longest + 1))).toMatchObject({
      reason: "SIGNAL_TOO_LARGE",
      message: "signal is 262145 bytes, limit is 262144",
      metadata: { size_bytes: "262145", limit_bytes: "262144" },
    });
  });

  test("refuses what is nested too deep, naming the field", () => {
    let nested: JsonObject = {};
    for (let level = 0; level < 30; level++) nested = { nested };
    expect(refusalOf(messageWith(nested)).message).toBe("payload is nested deeper than 30 levels");
    const dependency = { case: "dependencyResolved", value: { resolutionData: nested } } as const;
    expect(refusalOf({ event: dependency }).message).toBe("resolution_data is nested deeper than 30 levels");
  });

  test("refuses a request without an event", () => {
    expect(refusalOf({ event: { case: undefined } })).toMatchObject({ reason: "INVALID_REQUEST" });
  });
});

describe("prepareSignal: what a repetition is known by", () => {
  const one = contentOf({});

  test("does not depend on the order of a map or of a Struct at any level", () => {
    expect(contentOf({ metadata: { a: "1", b: "2" } })).toBe(contentOf({ metadata: { b: "2", a: "1" } }));
    const payload = { x: { b: 1, a: [{ d: 1, c: 2 }] }, w: null };
    const shuffled = { w: null, x: { a: [{ c: 2, d: 1 }], b: 1 } };
    expect(contentOf(messageWith(payload))).toBe(contentOf(messageWith(shuffled)));
    expect(contentOf(messageWith({ l: [1, 2] }))).not.toBe(contentOf(messageWith({ l: [2, 1] })));
  });

  test("takes an unspecified priority for NORMAL", () => {
    expect(contentOf({ priority: Priority.UNSPECIFIED })).toBe(contentOf({ priority: Priority.NORMAL }));
    expect(prepare({ priority: Priority.UNSPECIFIED }).signal.priority).toBe(Priority.NORMAL);
  });

  test("takes no agent in an event for the sender", () => {
    const completed = (agentId: string): RequestParts => ({ event: { case: "agentCompleted", value: { agentId } } });
    expect(contentOf(completed(""))).toBe(contentOf(completed("sender")));
  });

  test("does not contain expected_sequence", () => {
    expect(contentOf({ expectedSequence: 0n })).toBe(one);
    expect(contentOf({ expectedSequence: 9n })).toBe(one);
  });

  test.each<[string, RequestParts]>([
    ["coordination", { coordinationId: "d" }],
    ["sender", { senderAgentId: "other" }],
    ["recipients", { recipientAgentIds: ["a"] }],
    ["priority", { priority: Priority.LOW }],
    ["correlation", { correlationId: "x" }],
    ["metadata", { metadata: { a: "1" } }],
    ["message", { event: { case: "interAgentMessage", value: { messageType: "note", message: "bye" } } }],
    ["event", { event: { case: "dependencyResolved", value: {} } }],
    ["payload", messageWith({ a: 1 })],
    ["empty payload", messageWith({})],
  ])("contains the %s", (_, parts) => {
    expect(contentOf(parts)).not.toBe(one);
  });

  test("tells an optional field that is 0 from one that is not set", () => {
    const completed = (value: object): RequestParts => ({ event: { case: "agentCompleted", value } });
    expect(contentOf(completed({ qualityScore: 0 }))).not.toBe(contentOf(completed({})));
  });

  test("is the whole of what was asked, and nothing more", () => {
    const entry = placeSignal(prepare({ requestId: "r", correlationId: "x" }), position);
    expect(isRepetition(prepare({ requestId: "r", correlationId: "x", expectedSequence: 1n }), entry)).toBe(true);
    expect(isRepetition(prepare({ requestId: "r", correlationId: "y" }), entry)).toBe(false);
    // Of another length than the entry, and the beginning of it.
    const { body } = prepare({ requestId: "r", correlationId: "x" });
    expect(isRepetition({ body: body.subarray(0, -1) }, entry)).toBe(false);
    expect(isRepetition({ body: entry.bytes }, entry)).toBe(false);
  });

  test("has no key for a request without request_id", () => {
    expect(prepare().requestKey).toBeUndefined();
  });

  test("has a key that stands for sender and request_id alone", () => {
    const keyOf = (parts: RequestParts) => prepare(parts).requestKey;
    expect(keyOf({ requestId: "r" })).toBe(keyOf({ requestId: "r", priority: Priority.HIGH, coordinationId: "d" }));
    expect(keyOf({ requestId: "r" })).not.toBe(keyOf({ requestId: "s" }));
    expect(keyOf({ senderAgentId: "a", requestId: "bc" })).not.toBe(keyOf({ senderAgentId: "ab", requestId: "c" }));
  });
});

describe("prepareSignal: the agent of an event", () => {
  test.each(["agentInitialized", "agentCompleted"] as const)("of %s is the sender where none is named", (name) => {
    const { event } = prepare({ event: { case: name, value: {} } }).signal;
    expect(event.value).toMatchObject({ agentId: "sender" });
  });

  test.each(["agentInitialized", "agentCompleted"] as const)("of %s may be nobody else", (name) => {
    expect(refusalOf({ event: { case: name, value: { agentId: "other" } } })).toMatchObject({
      reason: "INVALID_REQUEST",
      message: 'agent_id of the event is "other", the sender is "sender": an agent speaks for itself only',
    });
  });

  test("of DependencyResolved is the sender where none is named, and may be somebody else", () => {
    const resolvedBy = (name: string) =>
      prepare({ event: { case: "dependencyResolved", value: { resolvedBy: name } } }).signal.event.value;
    expect(resolvedBy("")).toMatchObject({ resolvedBy: "sender" });
    expect(resolvedBy("other")).toMatchObject({ resolvedBy: "other" });
  });
});

describe("prepareSignals", () => {
  test("makes of each request what it would make of it alone, and tells for each why not", () => {
    const parts: readonly RequestParts[] = [
      { ...everyField, requestId: "1" },
      { event: { case: "agentCompleted", value: { agentId: "another" } } },
      { event: { case: "interAgentMessage", value: { messageType: "note", message: "x".repeat(maxSignalBytes) } } },
      { requestId: "2", ...messageWith({ b: 1, a: [2] }) },
    ];
    const [first, foreign, large, last] = prepareSignals(parts.map((each) => messageRequest(each)));
    expect(first?.prepared).toEqual(prepare(parts[0]));
    expect(foreign?.error).toMatchObject({ reason: "INVALID_REQUEST" });
    expect(large?.error).toMatchObject({ reason: "SIGNAL_TOO_LARGE" });
    expect(last?.prepared).toEqual(prepare(parts[3]));
  });

  test("makes nothing of nothing", () => {
    expect(prepareSignals([])).toEqual([]);
  });
});
