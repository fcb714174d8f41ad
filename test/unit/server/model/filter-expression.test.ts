import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type CoordinationSignal,
  CoordinationSignalSchema,
  Priority,
} from "@coordination-signals/proto/coordination/v1/signal";
import { describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../../../server/src/model/coordination-error.js";
import { FilterExpressionCompiler } from "../../../../server/src/model/filter-expression.js";
import { maxCachedExpressions, maxExpressionSteps } from "../../../../server/src/model/limits.js";

const compiler = new FilterExpressionCompiler();

const completed = signalOf({
  sequence: 12n,
  priority: Priority.HIGH,
  timestamp: timestampFromDate(new Date("2026-11-22T10:00:00Z")),
  recipientAgentIds: ["test-runner", "validator-generator"],
  metadata: { stage: "build", attempt: "2", 1: "one", true: "yes" },
  event: {
    case: "agentCompleted",
    value: { resultSummary: "5 models", qualityScore: 0.95, artifactsGenerated: ["models/user.py", "models/post.ts"] },
  },
});

const message = signalOf({
  sequence: 3n,
  event: {
    case: "interAgentMessage",
    value: {
      messageType: "request",
      message: "Need validator for UserModel",
      payload: {
        model: "UserModel",
        retries: 3,
        urgent: true,
        none: null,
        files: ["a", { name: "b" }, 7],
        deep: { payload: { id: "x" } },
        constructor: "c",
      },
    },
  },
});

function signalOf(parts: MessageInitShape<typeof CoordinationSignalSchema>): CoordinationSignal {
  return create(CoordinationSignalSchema, { senderAgentId: "model-generator", priority: Priority.NORMAL, ...parts });
}

function messageWith(payload: JsonObject): CoordinationSignal {
  return signalOf({ sequence: 99n, event: { case: "interAgentMessage", value: { payload } } });
}

function refusalOf(action: () => unknown): CoordinationError {
  try {
    action();
  } catch (error) {
    if (error instanceof CoordinationError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("FilterExpression.matches", () => {
  test.each([
    // Sequences are unsigned; numbers of all kinds compare by value.
    ["signal.sequence > 10u", true],
    ["signal.sequence > 10", true],
    ["signal.sequence > 10.5", true],
    ["signal.sequence == 12", true],
    ["signal.sequence + 1u == 13u", true],
    ["signal.sequence in [11, 12]", true],
    ["10 > signal.sequence", false],
    // Enums are numbers with names.
    ["signal.priority == 3", true],
    ["signal.priority == coordination.v1.Priority.PRIORITY_HIGH", true],
    ["signal.priority >= Priority.PRIORITY_CONTROL", false],
    // Times.
    ["signal.timestamp > timestamp('2026-11-22T09:59:59Z')", true],
    ["signal.timestamp < timestamp('2026-11-22T10:00:00Z')", false],
    ["signal.timestamp + duration('1h') == timestamp('2026-11-22T11:00:00Z')", true],
    ["signal.timestamp.getHours('+02:00') == 12", true],
    // Fields, presence, defaults.
    ["has(signal.agent_completed)", true],
    ["has(signal.agent_initialized)", false],
    ["has(signal.agent_completed.quality_score) && signal.agent_completed.quality_score >= 0.9", true],
    ["has(signal.agent_completed.error)", false],
    ["signal.agent_initialized.ready == false", true],
    ["dyn(signal).sender_agent_id == 'model-generator'", true],
    // Maps and lists.
    ["signal.metadata.stage == 'build'", true],
    ["signal.metadata['stage'] in ['test', 'build']", true],
    ["'stage' in signal.metadata && !('other' in signal.metadata)", true],
    ["has(signal.metadata.stage) && !has(signal.metadata.other)", true],
    ["signal.metadata.exists(key, key.startsWith('att') && int(signal.metadata[key]) == 2)", true],
    ["signal.metadata == {'stage': 'build', 'attempt': '2', '1': 'one', 'true': 'yes'}", true],
    // A key of another type is another key, whatever its text.
    ["dyn(1) in signal.metadata || signal.metadata[dyn(1)] == 'one' || dyn(true) in signal.metadata", false],
    ["{1: 'a', true: 'b', '1': 'c'}[1u] == 'a' && {1: 'a', true: 'b', '1': 'c'}[dyn('1')] == 'c'", true],
    ["dyn({1: 'a', true: 'b'})[true] == 'b' && dyn({2u: 'a'})[2.0] == 'a' && !(1.5 in {1: 'a'})", true],
    ["'test-runner' in signal.recipient_agent_ids", true],
    ["signal.recipient_agent_ids[1] == 'validator-generator'", true],
    ["signal.recipient_agent_ids[1u] == signal.recipient_agent_ids[1.0]", true],
    ["size(signal.recipient_agent_ids) == 2 && signal.recipient_agent_ids.size() == 2", true],
    ["signal.agent_completed.artifacts_generated.exists(file, file.endsWith('.py'))", true],
    ["signal.agent_completed.artifacts_generated.all(file, file.startsWith('models/'))", true],
    ["signal.agent_completed.artifacts_generated.exists_one(file, file.contains('post'))", true],
    ["signal.agent_completed.artifacts_generated.filter(file, file.contains('post')) == ['models/post.ts']", true],
    ["signal.agent_completed.artifacts_generated.map(file, file.size()) == [14, 14]", true],
    ["signal.recipient_agent_ids.map(id, id.contains('-'), id + '!').exists(id, id == 'test-runner!')", true],
    ["[1, 2] + [3] == [1, 2, 3] && {1: 'a'}[1] == 'a' && {1u: 'a'}[1u] == 'a' && {true: 1}[true] == 1", true],
    // Texts.
    ["signal.agent_completed.result_summary.matches('^[0-9]+ models$')", true],
    ["signal.agent_completed.result_summary.matches('^models')", false],
    ["matches(signal.agent_completed.result_summary, '^[0-9]+ models$')", true],
    ["matches(signal.agent_completed.result_summary, '^models')", false],
    ["size('\u{1F600}a') == 2 && '\u{1F600}'.size() == 1", true],
    // Ordered by UTF-16 code units.
    ["'\u{1F600}' < '\uFFFD'", true],
    // Types.
    ["type(signal.sequence) == uint && type('') == string", true],
    ["(signal.priority > 2 ? signal.metadata : {}).stage == 'build'", true],
    // Logic absorbs errors, as CEL says.
    ["signal.metadata.other == 'x' || true", true],
    ["signal.metadata.other == 'x' && false", false],
  ])("%s is %s", (text, expected) => {
    expect(compiler.compile(text).matches(completed)).toBe(expected);
  });

  test.each([
    ["signal.inter_agent_message.payload.model == 'UserModel'", true],
    ["signal.inter_agent_message.payload['model'].matches('Model$')", true],
    ["signal.inter_agent_message.payload.retries > 2 && signal.inter_agent_message.payload.retries == 3u", true],
    ["signal.inter_agent_message.payload.urgent", true],
    ["signal.inter_agent_message.payload.none == null", true],
    ["signal.inter_agent_message.payload.files[1].name == 'b'", true],
    ["signal.inter_agent_message.payload.files.exists(file, file == 7)", true],
    ["signal.inter_agent_message.payload.exists(key, key == 'urgent')", true],
    ["signal.inter_agent_message.payload.deep.payload.id == 'x'", true],
    ["dyn(signal.inter_agent_message).payload.deep.payload['id'] == 'x'", true],
    ["[signal, 1][0].inter_agent_message.payload.retries == 3", true],
    ["has(signal.inter_agent_message.payload.deep.payload)", true],
    ["has(signal.inter_agent_message.payload.deep.other)", false],
    ["has(signal.inter_agent_message.payload)", true],
    // What is null is there.
    ["has(signal.inter_agent_message.payload.none)", true],
    ["'none' in signal.inter_agent_message.payload", true],
    ["has(dyn(signal).inter_agent_message.payload.none) && 'none' in dyn(signal).inter_agent_message.payload", true],
    ["'a' in {'a': null} && has({'a': null}.a) && 1u in {1: null} && 1 in {1u: null} && 1.0 in {1: null}", true],
    ["'b' in {'a': null} || has({'a': null}.b) || 1.5 in {1: null} || true in {false: null}", false],
    ["has(dyn(signal).inter_agent_message) && !has(dyn(signal).agent_completed)", true],
    ["has(dyn(signal).inter_agent_message.message) && !has(dyn(signal).metadata)", true],
    ["signal.inter_agent_message.payload.constructor == 'c'", true],
    ["signal.dependency_resolved.resolution_data == {}", true],
  ])("%s is %s of a message with a payload", (text, expected) => {
    expect(compiler.compile(text).matches(message)).toBe(expected);
  });

  test.each([
    ["a key that is not there", "signal.metadata.other != 'x'"],
    ["a key that every object has", "signal.metadata['toString'] != 'x'"],
    ["an item beyond the end", "signal.recipient_agent_ids[9] != 'x'"],
    ["a field of what has none", "signal.inter_agent_message.payload.model.name != 'x'"],
    ["the presence of a field of what has none", "!has(signal.inter_agent_message.payload.model.name)"],
    ["the presence of a field that a message does not have", "!has(dyn(signal).nothing)"],
    ["a comparison of what cannot be compared", "signal.inter_agent_message.payload.model > 3"],
    ["a division by zero", "1 / (signal.priority - signal.priority) != 7"],
    ["a conversion that fails", "int(signal.sender_agent_id) != 7"],
    ["a conversion of a huge number", "int(signal.metadata.digits) == 7"],
    ["a result that is no bool", "signal.inter_agent_message.payload.model"],
  ])("is false when there is %s", (_, text) => {
    const digits = signalOf({ ...message, metadata: { digits: `${"0".repeat(100_000)}7` } });
    expect(compiler.compile(text).matches(digits)).toBe(false);
  });

  test("takes nothing from one signal to the next", () => {
    const expression = compiler.compile("signal.inter_agent_message.payload.n == 1");
    const [one, two] = [messageWith({ n: 1 }), messageWith({ n: 2 })];
    expect([one, two, one].map((signal) => expression.matches(signal))).toEqual([true, false, true]);
  });

  test("leaves the traces of other errors as long as they were", () => {
    const before = Error.stackTraceLimit;
    compiler.compile("signal.metadata.other == 'x'").matches(completed);
    expect(Error.stackTraceLimit).toBe(before);
  });
});

describe("FilterExpressionCompiler.compile", () => {
  test.each([
    ["signal.sequnce == 1u", "1:7", 'CoordinationSignal has no field "sequnce", it has signal_id, '],
    ["has(signal.agent_completed.quality)", "1:1", 'AgentCompleted has no field "quality", it has agent_id, '],
    ["sequence == 1u", "1:1", '"sequence" is not declared, known are "signal"'],
    ["signal.priority == Priority.URGENT", "1:28", '"Priority.URGENT" is not declared'],
    ["signal.priority == other.v1.Priority.PRIORITY_HIGH", "1:37", '"other.v1.Priority.PRIORITY_HIGH" is not declared'],
    [
      "signal.priority == PRIORITY_HIGH",
      "1:20",
      '"PRIORITY_HIGH" is not declared, coordination.v1.Priority.PRIORITY_HIGH is',
    ],
    ["true &&\n  signal.sequence == 'a'", "2:19", "== does not take (uint, string)"],
    ["signal.sender_agent_id > 3", "1:24", "> does not take (string, int)"],
    ["signal.sequence + 1 == 2u", "1:17", "+ does not take (uint, int)"],
    ["signal.timestamp == 1", "1:18", "== does not take (google.protobuf.Timestamp, int)"],
    ["signal.priority == null", "1:17", "== does not take (int, null_type)"],
    ["signal.recipient_agent_ids == [1]", "1:28", "== does not take (list(string), list(int))"],
    ["1 in signal.recipient_agent_ids", "1:3", "in does not take (int, list(string))"],
    ["1 in signal.metadata", "1:3", "in does not take (int, map(string, string))"],
    ["-signal.sequence == 1", "1:1", "- does not take (uint)"],
    ["!signal.sequence", "1:1", "! does not take (uint)"],
    ["signal.sequence && true", "1:7", "&& takes bool, this is uint"],
    ["(1 ? true : false)", "1:2", "?: takes bool, this is int"],
    ["signal.metadata[1] == 'x'", "1:16", "map(string, string) has no index of type int"],
    ["signal.recipient_agent_ids['a'] == 'x'", "1:27", "list(string) has no index of type string"],
    ["signal.sender_agent_id.name == 'x'", "1:23", 'string has no field "name"'],
    ["signal.sequence.exists(item, true)", "1:7", "uint has no items"],
    ["signal.recipient_agent_ids.exists(id, id > 3)", "1:42", "> does not take (string, int)"],
    ["signal.recipient_agent_ids.exists(id, id)", "1:39", "|| takes bool, this is string"],
    ["random() == 2", "1:1", 'function "random" is not declared'],
    ["signal.sender_agent_id.reverse() == 'x'", "1:23", 'function "reverse" is not declared'],
    ["signal.sender_agent_id.contains(1)", "1:23", "string has no method contains(int)"],
    ["has(signal)", "1:1", "has() takes a field"],
    ["signal.recipient_agent_ids.all(1, true)", "1:27", "all() takes a new name"],
    ["coordination.v1.AgentCompleted{} == signal.agent_completed", "1:1", "messages cannot be made"],
    ["{1.5: 2}.size() == 1", "1:1", "a map cannot have keys of type double"],
    ["timestamp('yesterday') < signal.timestamp", "1:1", "Failed to parse timestamp"],
    ["signal.sequence == 18446744073709551616u", "1:20", "uint literal is out of range"],
    ["9223372036854775808 == 1", "1:1", "int literal is out of range"],
    ["signal.sender_agent_id.matches('(a')", "1:32", "missing closing )"],
    ["signal.sender_agent_id.matches(signal.metadata.pattern)", "1:47", "must be a string literal"],
    ["matches(signal.sender_agent_id, '(a')", "1:33", "missing closing )"],
    ["matches(signal.sender_agent_id, signal.metadata.pattern)", "1:48", "must be a string literal"],
    ["matches('a', 1)", "1:1", "matches does not take (string, int)"],
    ["signal.sequence = 1u", "1:17", 'unexpected "="'],
    ["signal.sender_agent_id == 'a", "1:24", 'unexpected "="'],
    ["(", "1:2", "ends too early"],
    ["signal.in == 1", "1:8", "reserved keyword"],
    ["true // always", "1:6", 'unexpected "/"'],
  ])("refuses %s at %s", (text, position, fault) => {
    const refusal = refusalOf(() => compiler.compile(text));
    expect(refusal).toMatchObject({ reason: "INVALID_FILTER", metadata: { part: "expression", position } });
    expect(refusal.message).toContain(`filter expression at ${position}: `);
    expect(refusal.message).toContain(fault);
  });

  test.each([
    ["signal", "1:1", "it yields coordination.v1.CoordinationSignal, not bool"],
    ["\n signal.sequence + 1u", "2:18", "it yields uint, not bool"],
    [`'\u{1F600}\n${"a".repeat(999)}' == ''`, "2:998", "it is 1009 characters long, limit is 1000"],
    ["x".repeat(5_000_000), "1:1001", "it is 5000000 characters long, limit is 1000"],
    [`1${" + 1".repeat(100)} == 1`, "1:401", "it has 203 nodes with its macros expanded, limit is 200"],
    [
      `true || [1].exists(x, ${"x + ".repeat(100)}x == 1)`,
      "1:399",
      "it has 215 nodes with its macros expanded, limit is 200",
    ],
    [`\n ${"[".repeat(990)}`, "2:2", "it is nested too deeply"],
    [String.raw`true || '\u{1F600}' == ''`, "1:1", "a text has an escape of no character"],
    [String.raw`'\U00110000' == ''`, "1:1", "a text has an escape of no character"],
  ])("refuses %.20s at %s, where it is too much or yields another type", (text, position, fault) => {
    const refusal = refusalOf(() => compiler.compile(text));
    expect(refusal).toMatchObject({ reason: "INVALID_FILTER", metadata: { part: "expression", position } });
    expect(refusal.message).toContain(`filter expression at ${position}: ${fault}`);
  });

  test("counts characters as the contract's rule does, so that both refuse the same", () => {
    const text = `'${"\u{1F600}".repeat(990)}' == ''`;
    expect(compiler.compile(text).matches(completed)).toBe(false);
  });

  test("refuses a comprehension in another one's body, not one after the other", () => {
    const nested = "signal.recipient_agent_ids.all(a, signal.recipient_agent_ids.exists(b, a == b))";
    expect(refusalOf(() => compiler.compile(nested))).toMatchObject({ metadata: { position: "1:61" } });
    const chained = "signal.recipient_agent_ids.filter(a, a != '').map(a, a + a).exists(a, a == '')";
    expect(compiler.compile(chained).matches(completed)).toBe(false);
  });

  test("gives the same expression to the next reader, and forgets the one that was not asked for longest", () => {
    const cache = new FilterExpressionCompiler();
    const first = cache.compile("signal.sequence == 0u");
    const second = cache.compile("signal.sequence == 1u");
    for (let number = 2; number < maxCachedExpressions; number += 1) cache.compile(`signal.sequence == ${number}u`);
    expect(cache.compile("signal.sequence == 0u")).toBe(first);
    cache.compile("signal.sequence == 10000u");
    expect(cache.compile("signal.sequence == 0u")).toBe(first);
    expect(cache.compile("signal.sequence == 1u")).not.toBe(second);
  });

  test("compiles independent expressions that use different patterns", () => {
    const model = compiler.compile("signal.sender_agent_id.matches('^model')");
    const test = compiler.compile("signal.sender_agent_id.matches('^test')");
    expect([model.matches(completed), test.matches(completed), model.matches(completed)]).toEqual([true, false, true]);
  });
});

describe("the budget of an evaluation", () => {
  const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);
  const wide = Object.fromEntries(numbers(2_000).map((index) => [`k${index}`, index]));
  const long = "ab".repeat(100_000);
  const needle = `${"a".repeat(500)}c${"a".repeat(500)}`;
  const payload = "signal.inter_agent_message.payload";
  const sameNumbers = Array(11).fill(`${payload}.items`).join(" + ");

  // Each signal is small enough for everything but the one thing that its test is about.
  test.each<[string, string, JsonObject]>([
    ["a payload of too many values", `${payload}.items[0] == 0`, { items: numbers(250_000) }],
    ["one behind a dynamic type", `dyn(signal).inter_agent_message.payload.items[0] == 0`, { items: numbers(250_000) }],
    ["a long walk", `${payload}.items.all(x, x >= 0 && x >= 0 && x >= 0)`, { items: numbers(20_000) }],
    ["errors that || swallows", `${payload}.items.all(x, x.a || x.b || x.c || true)`, { items: numbers(20_000) }],
    ["look-ups in a list", `${payload}.items.all(x, x in ${payload}.items)`, { items: numbers(1_000) }],
    ["look-ups of numbers", `${payload}.items.all(x, !(x in ${payload}.wide))`, { items: numbers(200), wide }],
    ["accesses by number", `${payload}.items.all(x, ${payload}.wide[x] == 1 || true)`, { items: numbers(200), wide }],
    ["comparisons of lists", `${payload}.items.all(x, ${payload}.items == ${payload}.items)`, { items: numbers(500) }],
    ["comparisons of messages", `${payload}.items.all(x, dyn(signal) == dyn(signal))`, { items: numbers(10) }],
    [
      "comparisons of texts",
      `${payload}.items.all(x, ${payload}.long <= ${payload}.long)`,
      { items: numbers(300), long },
    ],
    [
      "a long search",
      `${payload}.items.all(x, !${payload}.long.contains(${payload}.needle))`,
      {
        items: numbers(2),
        long,
        needle,
      },
    ],
    ["patterns", `${payload}.items.all(x, ${payload}.long.matches('a.*b'))`, { items: numbers(2), long }],
    [
      "patterns of a function",
      `${payload}.items.all(x, matches(${payload}.long, 'a.*b'))`,
      { items: numbers(2), long },
    ],
    ["a pattern whose automaton explodes", `${payload}.long.matches('[ab]*a[ab]{200}[^ab]')`, { long }],
    ["sizes of texts", `${payload}.items.all(x, ${payload}.long.size() > 0)`, { items: numbers(300), long }],
    ["conversions of texts", `${payload}.items.all(x, bytes(${payload}.long) != b'')`, { items: numbers(300), long }],
    [
      "texts that grow",
      `${payload}.items.map(x, ${payload}.long + ${payload}.long).size() == 0`,
      {
        items: numbers(200),
        long,
      },
    ],
    ["lists that grow", `(${sameNumbers}).size() == 0`, { items: numbers(5_000) }],
    ["time zones", `${payload}.items.all(x, signal.timestamp.getHours('Europe/Berlin') >= 0)`, { items: numbers(300) }],
    ["times", `${payload}.items.all(x, timestamp(5) < timestamp(6))`, { items: numbers(6_000) }],
  ])("stops %s", (_, text, value) => {
    const refusal = refusalOf(() => compiler.compile(text).matches(messageWith(value)));
    expect(refusal).toMatchObject({
      reason: "FILTER_BUDGET_EXCEEDED",
      metadata: { part: "expression", sequence: "99", limit_steps: String(maxExpressionSteps) },
    });
  });

  test.each<[string, JsonObject, boolean]>([
    [`${payload}.items.exists(x, x == 9999)`, { items: numbers(10_000) }, true],
    [`${payload}.items.filter(x, x < 5000).size() == 5000`, { items: numbers(10_000) }, true],
    [`${payload}.items.map(x, x > 1).size() == 10000`, { items: numbers(10_000) }, true],
    [`${payload}.long.contains('needle')`, { long }, false],
    [`${payload}.long.startsWith('ab') && ${payload}.long.size() == 200000`, { long }, true],
    [`'k1999' in ${payload}.wide && ${payload}.wide.k1999 == 1999`, { wide }, true],
    [`${payload}.items.all(x, 'k7' in ${payload}.wide)`, { items: numbers(2_000), wide }, true],
    [Array(12).fill(`${payload}.items[99999] == 99999`).join(" && "), { items: numbers(100_000) }, true],
    [`${payload}.items.all(x, signal.timestamp == signal.timestamp)`, { items: numbers(4_000) }, true],
  ])("suffices for %s", (text, value, expected) => {
    expect(compiler.compile(text).matches(messageWith(value))).toBe(expected);
  });

  test("stops a range that is too long to be copied", () => {
    const signal = signalOf({ recipientAgentIds: Array(250_000).fill("a") });
    const refusal = refusalOf(() => compiler.compile("signal.recipient_agent_ids.all(id, false)").matches(signal));
    expect(refusal.reason).toBe("FILTER_BUDGET_EXCEEDED");
  });

  test("is a new one for each signal", () => {
    const expression = compiler.compile(`${payload}.items.all(x, x in ${payload}.items)`);
    const [large, small] = [messageWith({ items: numbers(1_000) }), messageWith({ items: numbers(2) })];
    expect(refusalOf(() => expression.matches(large)).reason).toBe("FILTER_BUDGET_EXCEEDED");
    expect(expression.matches(small)).toBe(true);
  });
});
