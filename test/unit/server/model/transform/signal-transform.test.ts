import { create, fromBinary, type JsonObject, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type CoordinationSignal,
  CoordinationSignalSchema,
  InterAgentMessageSchema,
  Priority,
  SignalTransformSchema,
} from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../../../../server/src/model/coordination-error.js";
import { maxSignalBytes } from "../../../../../server/src/model/limits.js";
import { LogEntry } from "../../../../../server/src/model/log-entry.js";
import { SignalExpressionCompiler } from "../../../../../server/src/model/signal-expression.js";
import { compileSignalTransform } from "../../../../../server/src/model/transform/signal-transform.js";

const expressions = new SignalExpressionCompiler();
type TransformInit = MessageInitShape<typeof SignalTransformSchema>;
type SignalInit = Partial<Pick<CoordinationSignal, "metadata" | "priority" | "recipientAgentIds">>;

const remove = (path: string) => ({ path, action: { case: "remove" as const, value: true } });
const redact = (path: string, text = "") => ({ path, action: { case: "redact" as const, value: text } });
const set = (path: string, expression: string) => ({ path, action: { case: "set" as const, value: expression } });

const identity = {
  signalId: "019a",
  coordinationId: "c",
  sequence: 7n,
  timestamp: timestampFromMs(1_000),
};

function entryOf(signal: CoordinationSignal): LogEntry {
  return new LogEntry({
    sequence: signal.sequence,
    bytes: toBinary(CoordinationSignalSchema, signal),
    acceptedAtMs: 5,
  });
}

function signalOf(
  init: SignalInit & Pick<MessageInitShape<typeof CoordinationSignalSchema>, "event">,
): CoordinationSignal {
  return create(CoordinationSignalSchema, { ...identity, senderAgentId: "parser", ...init });
}

function messageOf(payload: JsonObject, init: SignalInit = {}): CoordinationSignal {
  return signalOf({
    ...init,
    event: { case: "interAgentMessage", value: { messageType: "request", message: "hello", payload } },
  });
}

/** The signal as it is handed out, read from its bytes: what a client gets. */
function transformed(transform: TransformInit, signal: CoordinationSignal): CoordinationSignal {
  const compiled = compileSignalTransform(create(SignalTransformSchema, transform), expressions);
  return fromBinary(CoordinationSignalSchema, compiled.apply(entryOf(signal)).bytes);
}

const payloadOf = ({ event }: CoordinationSignal) => event.case === "interAgentMessage" && event.value.payload;

function refusalOf(run: () => unknown): CoordinationError {
  try {
    run();
  } catch (error) {
    if (error instanceof CoordinationError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("a read mask", () => {
  const full = messageOf(
    { token: "t", deep: { a: 1, b: 2 }, items: [{ a: 1, b: 2 }, 3] },
    { metadata: { stage: "build", "a.b": "x" }, priority: Priority.HIGH, recipientAgentIds: ["validator"] },
  );
  const masked = (...paths: string[]) => transformed({ readMask: { paths } }, full);

  test("keeps the fields it names, what tells signals and their order, and which event it is", () => {
    expect(masked("recipient_agent_ids")).toEqual(
      create(CoordinationSignalSchema, {
        ...identity,
        recipientAgentIds: ["validator"],
        priority: Priority.HIGH,
        event: { case: "interAgentMessage", value: {} },
      }),
    );
  });

  test("keeps fields of events, keys of maps, and keys of a Struct at any depth and in lists", () => {
    const kept = masked("message", "payload.deep.a", "inter_agent_message.payload.items.b", "metadata.`a.b`");
    expect(kept).toEqual(
      create(CoordinationSignalSchema, {
        ...identity,
        priority: Priority.HIGH,
        metadata: { "a.b": "x" },
        event: {
          case: "interAgentMessage",
          value: { message: "hello", payload: { deep: { a: 1 }, items: [{ b: 2 }, null] } },
        },
      }),
    );
  });

  test.each([[["payload", "payload.deep"]], [["payload.deep", "payload"]]])(
    "keeps the whole where %j names a part of it, too",
    (paths) => {
      expect(payloadOf(masked(...paths))).toEqual(payloadOf(full));
    },
  );

  test("keeps a whole event, and nothing of the others", () => {
    expect(masked("inter_agent_message").event).toEqual(full.event);
    expect(masked("agent_completed").event).toEqual({
      case: "interAgentMessage",
      value: create(InterAgentMessageSchema),
    });
  });

  test("keeps all with *, and costs nothing then", () => {
    const entry = entryOf(full);
    const compiled = compileSignalTransform(create(SignalTransformSchema, { readMask: { paths: ["*"] } }), expressions);
    expect(compiled.apply(entry)).toBe(entry);
  });
});

describe("fields", () => {
  test("are removed: fields are emptied, keys taken away, an event emptied whole", () => {
    const signal = messageOf({ token: "t", user: { name: "n", mail: "m" } }, { metadata: { key: "k", stage: "s" } });
    const result = transformed(
      { fields: [remove("payload.token"), remove("payload.user.mail"), remove("metadata.key"), remove("message")] },
      signal,
    );
    expect(payloadOf(result)).toEqual({ user: { name: "n" } });
    expect(result.metadata).toEqual({ stage: "s" });
    expect(result.event.value).toMatchObject({ message: "", messageType: "request" });
    expect(transformed({ fields: [remove("inter_agent_message")] }, signal).event).toEqual({
      case: "interAgentMessage",
      value: create(InterAgentMessageSchema),
    });
  });

  test("are redacted: texts, items of lists, and whatever stands under a key", () => {
    const signal = messageOf({ token: 5, user: { name: "n" }, items: [{ token: "a" }, { other: 1 }, "x"] });
    const result = transformed(
      {
        fields: [
          redact("payload.token"),
          redact("payload.user", "***"),
          redact("payload.items.token"),
          redact("message"),
          redact("recipient_agent_ids"),
          redact("payload.missing"),
        ],
      },
      { ...signal, recipientAgentIds: ["a", "b"] },
    );
    expect(payloadOf(result)).toEqual({
      token: "[redacted]",
      user: "***",
      items: [{ token: "[redacted]" }, { other: 1 }, "x"],
    });
    expect(result.event.value).toMatchObject({ message: "[redacted]" });
    expect(result.recipientAgentIds).toEqual(["[redacted]", "[redacted]"]);
    const whole = transformed({ fields: [redact("payload"), redact("metadata")] }, { ...signal, metadata: { a: "b" } });
    expect(payloadOf(whole)).toEqual({ token: "[redacted]", user: "[redacted]", items: "[redacted]" });
    expect(whole.metadata).toEqual({ a: "[redacted]" });
  });

  test("are set to an expression's value, of every type that a field has", () => {
    const completed = signalOf({
      metadata: { stage: "build" },
      event: { case: "agentCompleted", value: { resultSummary: "5 models", qualityScore: 0.5 } },
    });
    const result = transformed(
      {
        fields: [
          set("result_summary", "signal.sender_agent_id + ': ' + signal.agent_completed.result_summary"),
          set("quality_score", "signal.agent_completed.quality_score * 2.0"),
          set("artifacts_generated", "['a', signal.metadata.stage]"),
          set("metadata.from", "signal.coordination_id"),
        ],
      },
      completed,
    );
    expect(result.metadata).toEqual({ stage: "build", from: "c" });
    expect(result.event.value).toMatchObject({
      resultSummary: "parser: 5 models",
      qualityScore: 1,
      artifactsGenerated: ["a", "build"],
    });
  });

  test("below a Struct are set to any value, and made where they are missing", () => {
    const payload = "signal.inter_agent_message.payload";
    const result = transformed(
      {
        fields: [
          set("payload.copy", `{'list': [1, 2u, 2.5, true, null, ${payload}.name], 'big': 9007199254740993}`),
          set("payload.new.deep", "b'abc'"),
          set("payload.items.seen", "true"),
        ],
      },
      messageOf({ name: "n", items: [{}, { seen: false }] }),
    );
    expect(payloadOf(result)).toEqual({
      name: "n",
      copy: { list: [1, 2, 2.5, true, null, "n"], big: "9007199254740993" },
      new: { deep: "YWJj" },
      items: [{ seen: true }, { seen: true }],
    });
  });

  test.each([
    ["a key that is not there", set("message", "signal.metadata.missing")],
    ["a value of another type", set("message", "signal.inter_agent_message.payload.number")],
    ["a number that is not one", set("payload.secret", "0.0 / 0.0")],
  ])("are emptied where the expression has %s, never left as they were", (_, field) => {
    const result = transformed({ fields: [field] }, messageOf({ secret: "s", number: 4 }));
    const { message, payload } = result.event.value as { message: string; payload: JsonObject };
    expect(field.path === "message" ? message : payload["secret"]).toBe(field.path === "message" ? "" : undefined);
  });

  test("are emptied where elements turn out to be of another type, and set where they fit", () => {
    const result = transformed(
      {
        fields: [
          set("recipient_agent_ids", "['a', signal.inter_agent_message.payload.number]"),
          set("metadata", "{'text': signal.inter_agent_message.payload.text}"),
        ],
      },
      { ...messageOf({ number: 4, text: "t" }), recipientAgentIds: ["b"], metadata: { key: "secret" } },
    );
    expect([result.recipientAgentIds, result.metadata]).toEqual([[], { text: "t" }]);
  });

  test("each see what the ones before made", () => {
    const result = transformed(
      {
        readMask: { paths: ["metadata", "message"] },
        fields: [redact("metadata.key"), set("message", "signal.metadata.key")],
      },
      messageOf({}, { metadata: { key: "secret" } }),
    );
    expect(result.event.value).toMatchObject({ message: "[redacted]" });
  });

  test("of other events leave a signal as it is, and the very same", () => {
    const entry = entryOf(messageOf({ a: 1 }));
    const fields = [
      remove("result_summary"),
      redact("payload.b"),
      set("resolution_data.x", "1"),
      redact("metadata.none"),
    ];
    const compiled = compileSignalTransform(create(SignalTransformSchema, { fields }), expressions);
    expect(compiled.apply(entry)).toBe(entry);
  });

  test("do not change the signal that others read, and keep its place", () => {
    const signal = messageOf({ token: "t", deep: { token: "t" } }, { metadata: { a: "b" } });
    const entry = entryOf(signal);
    const before = toBinary(CoordinationSignalSchema, entry.signal);
    const fields = [redact("payload.token"), remove("payload.deep.token"), set("metadata.a", "'x'"), remove("message")];
    const changed = compileSignalTransform(create(SignalTransformSchema, { fields }), expressions).apply(entry);
    expect(toBinary(CoordinationSignalSchema, entry.signal)).toEqual(before);
    expect(changed).toMatchObject({ sequence: entry.sequence, acceptedAtMs: entry.acceptedAtMs });
  });

  test("with names of JavaScript's own are keys like others", () => {
    const result = transformed(
      { fields: [set("payload.__proto__", "'x'"), redact("payload.constructor")] },
      messageOf(JSON.parse('{"constructor":"secret"}')),
    );
    const payload = payloadOf(result) || {};
    expect(Object.getOwnPropertyDescriptor(payload, "__proto__")?.value).toBe("x");
    expect(payload["constructor"]).toBe("[redacted]");
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });
});

describe("a transform that cannot be compiled", () => {
  const refused = (transform: TransformInit) =>
    refusalOf(() => compileSignalTransform(create(SignalTransformSchema, transform), expressions));

  test.each<[TransformInit, string, string]>([
    [{ readMask: { paths: ["metadata", "nothing"] } }, "read_mask.paths[1]", 'a signal has no field "nothing"'],
    [{ readMask: { paths: Array(101).fill("message") } }, "read_mask", "it has 101 paths, limit is 100"],
    [{ fields: [remove("agent_completed.quality")] }, "fields[0].path", 'agent_completed has no field "quality"'],
    [{ fields: [remove("sequence")] }, "fields[0].path", "what tells one signal from another, or its order"],
    [{ fields: [set("priority", "1")] }, "fields[0].path", "what tells one signal from another, or its order"],
    [{ fields: [remove("metadata.a.b")] }, "fields[0].path", 'metadata has no part "b"'],
    [{ fields: [remove("timestamp.seconds")] }, "fields[0].path", 'timestamp has no part "seconds"'],
    [{ fields: [remove("message.x")] }, "fields[0].path", 'message has no part "x"'],
    [{ fields: [remove("metadata..b")] }, "fields[0].path", "it has an empty part"],
    [{ fields: [remove("metadata.")] }, "fields[0].path", "it has an empty part"],
    [{ fields: [remove("metadata.`a")] }, "fields[0].path", "a backtick is not closed"],
    [{ fields: [remove("metadata.`a`b")] }, "fields[0].path", "a dot is missing after a backtick"],
    [{ fields: [redact("quality_score")] }, "fields[0].path", "quality_score cannot hold a text: remove it"],
    [{ fields: [redact("priority")] }, "fields[0].path", "what tells one signal from another, or its order"],
    [{ fields: [redact("agent_completed")] }, "fields[0].path", "an event cannot hold a text"],
    [{ fields: [remove("message"), { path: "message" }] }, "fields[1]", "it says neither remove nor redact nor set"],
    [{ fields: [set("message", "1 + 1")] }, "fields[0].set", "it yields int, not string"],
    [{ fields: [set("capabilities", "[1, 2]")] }, "fields[0].set", "it yields list(int), not list(string)"],
    [{ fields: [set("metadata", "{'a': 1}")] }, "fields[0].set", "it yields map(string, int), not map(string, string)"],
    [{ fields: [set("payload", "{1: 'a'}")] }, "fields[0].set", "it yields map(int, string), not map(string, dyn)"],
    [{ fields: [set("agent_completed", "1")] }, "fields[0].path", "an event as a whole cannot be set"],
    [{ fields: [set("message", "signal.nothing")] }, "fields[0].set", 'CoordinationSignal has no field "nothing"'],
  ])("%j is refused for %s", (transform, part, fault) => {
    const refusal = refused(transform);
    expect(refusal).toMatchObject({ reason: "INVALID_TRANSFORM", metadata: { part } });
    expect(refusal.message).toContain(`transform ${part}: `);
    expect(refusal.message).toContain(fault);
  });

  test("says where in an expression the fault is", () => {
    expect(refused({ fields: [set("message", "'a' +\n signal.nothing")] }).metadata).toEqual({
      part: "fields[0].set",
      position: "2:8",
    });
  });
});

describe("a transform that is too dear for a signal", () => {
  const long = "x".repeat(100_000);
  const payload = "signal.inter_agent_message.payload";
  const items = Array.from({ length: 2_000 }, (_, index) => index);

  test.each([
    ["takes too many steps", set("message", `${payload}.items.all(x, x in ${payload}.items) ? 'a' : 'b'`), { items }],
    [
      "makes a value that is too large",
      set("payload.copies", `[${Array(20).fill(`${payload}.long`).join(",")}]`),
      { long },
    ],
    ["makes the signal too large", set("payload.copy", `${payload}.long + ${payload}.long`), { long }],
  ])("%s", (what, field, value) => {
    const refusal = refusalOf(() => transformed({ fields: [field] }, messageOf(value)));
    expect(refusal).toMatchObject({ reason: "FILTER_BUDGET_EXCEEDED", metadata: { sequence: "7" } });
    expect(refusal.message).toContain(
      what.replace(/^makes the signal too large$/, `limit is ${maxSignalBytes}`).split(" that")[0],
    );
  });
});

describe("which fields a transform changes", () => {
  test.each<[string, TransformInit, boolean]>([
    ["one that it removes", { fields: [remove("agent_completed.error")] }, true],
    ["one that it redacts", { fields: [redact("error")] }, true],
    ["one that it computes", { fields: [set("error", "signal.agent_completed.error")] }, true],
    ["one of an event that it removes whole", { fields: [remove("agent_completed")] }, true],
    ["one that the mask leaves out", { readMask: { paths: ["agent_completed.result_summary", "payload"] } }, true],
    ["none of what the mask keeps", { readMask: { paths: ["payload", "error"] } }, false],
    ["none of an event that the mask keeps whole", { readMask: { paths: ["agent_completed"] } }, false],
    ["none with a mask that keeps all", { readMask: { paths: ["*"] } }, false],
    ["no other field of the event", { fields: [remove("result_summary")] }, false],
    ["no field of every signal's", { fields: [remove("metadata"), set("message_type", "'x'")] }, false],
    ["what the mask keeps and a field removes", { readMask: { paths: ["*"] }, fields: [remove("error")] }, true],
  ])("%s", (_, transform, changes) => {
    const compiled = compileSignalTransform(create(SignalTransformSchema, transform), expressions);
    expect(compiled.changes("agentCompleted", "error")).toBe(changes);
  });

  test("a part of a field changes the field, and a mask that keeps a part keeps no more", () => {
    const compile = (transform: TransformInit) =>
      compileSignalTransform(create(SignalTransformSchema, transform), expressions);
    const fields = compile({ fields: [redact("resolution_data.file")] });
    expect(fields.changes("dependencyResolved", "resolutionData")).toBe(true);
    const mask = compile({ readMask: { paths: ["resolution_data.file"] } });
    expect(mask.changes("dependencyResolved", "resolutionData")).toBe(true);
  });
});
