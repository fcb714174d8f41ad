/** Expressions as an unknown client may send them, and signals to ask them about. */
import { create, type JsonObject } from "@bufbuild/protobuf";
import { type CoordinationSignal, CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import fc from "fast-check";

const payload = "signal.inter_agent_message.payload";
const leaves = [
  "signal",
  "signal.sequence",
  "signal.priority",
  "signal.timestamp",
  "signal.sender_agent_id",
  "signal.recipient_agent_ids",
  "signal.metadata",
  "signal.metadata.stage",
  "signal.agent_completed.quality_score",
  "signal.agent_completed.artifacts_generated",
  "Priority.PRIORITY_HIGH",
  payload,
  `${payload}.list`,
  `${payload}.text`,
  `${payload}.deep.list`,
  "x",
  "true",
  "false",
  "null",
  "1",
  "-1",
  "2u",
  "0.5",
  "'a'",
  "b'a'",
  "''",
  "[]",
  "{}",
  "int",
];
const infix = ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"];
const methods = ["contains", "startsWith", "endsWith", "getHours", "getSeconds", "foo"];
const functions = ["size", "int", "uint", "double", "string", "bytes", "bool", "timestamp", "duration", "dyn", "type"];
const macros = ["exists", "all", "exists_one", "filter", "map"];
const patterns = ["^a", "(a+)+$", "[ab]*a[ab]{40}[^ab]", "(a", "a{1001}", "(?i)b|c", "\\\\pL+"];
const names = ["stage", "deep", "list", "payload", "constructor", "__proto__", "length"];

/** Expressions that a grammar of CEL can make, sensible or not. */
const grammatical = fc.letrec<{ expression: string }>((tie) => {
  const inner = tie("expression");
  return {
    expression: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.constantFrom(...leaves),
      fc
        .tuple(inner, fc.constantFrom(...infix), inner)
        .map(([left, operator, right]) => `(${left} ${operator} ${right})`),
      fc.tuple(fc.constantFrom("!", "-"), inner).map(([operator, operand]) => `${operator}(${operand})`),
      fc.tuple(inner, inner, inner).map(([condition, yes, no]) => `(${condition} ? ${yes} : ${no})`),
      fc.tuple(inner, fc.constantFrom(...names)).map(([operand, name]) => `${operand}.${name}`),
      fc.tuple(inner, fc.constantFrom(...names)).map(([operand, name]) => `has(${operand}.${name})`),
      fc.tuple(inner, inner).map(([operand, index]) => `${operand}[${index}]`),
      fc.tuple(fc.constantFrom(...functions), inner).map(([name, argument]) => `${name}(${argument})`),
      fc.tuple(inner, fc.constantFrom(...methods), inner).map(([target, name, arg]) => `${target}.${name}(${arg})`),
      fc.tuple(inner, fc.constantFrom(...macros), inner).map(([range, name, body]) => `${range}.${name}(x, ${body})`),
      fc.tuple(inner, fc.constantFrom(...patterns)).map(([target, pattern]) => `${target}.matches('${pattern}')`),
      fc.array(inner, { maxLength: 3 }).map((items) => `[${items.join(", ")}]`),
      fc
        .array(fc.tuple(inner, inner), { maxLength: 2 })
        .map((entries) => `{${entries.map((pair) => pair.join(": ")).join(", ")}}`),
    ),
  };
}).expression;

/** Expressions that mean something: what they yield is known, so that most of them are accepted. */
export const typed = fc.letrec<{ bool: string; number: string; text: string; list: string; item: string }>((tie) => {
  const [bool, number, text, list, item] = [tie("bool"), tie("number"), tie("text"), tie("list"), tie("item")];
  const join = (...parts: fc.Arbitrary<string>[]) => fc.tuple(...parts).map((texts) => texts.join(""));
  const just = (...texts: string[]) => fc.constantFrom(...texts);
  return {
    bool: fc.oneof(
      { depthSize: "medium", withCrossShrink: true },
      just("true", "false", "has(signal.inter_agent_message)", `has(${payload}.list)`, "'stage' in signal.metadata"),
      just(`${payload}.deep.list[0] == 'a'`, `${payload}.list[4].list[0] == 1`, `${payload}.none == null`),
      join(just("("), number, just(" < ", " <= ", " == ", " != ", " >= ", " > "), number, just(")")),
      join(just("("), text, just(" < ", " == ", " != ", " > "), text, just(")")),
      join(text, just(".contains(", ".startsWith(", ".endsWith("), text, just(")")),
      join(text, just(".matches('^a')", ".matches('(ab)+$')", ".matches('b|c')")),
      join(just("("), bool, just(" && ", " || ", " == "), bool, just(")")),
      join(just("!"), bool),
      join(just("("), bool, just(" ? "), bool, just(" : "), bool, just(")")),
      join(just("("), text, just(" in "), list, just(")")),
      join(list, just(".exists(x, ", ".all(x, ", ".exists_one(x, "), item, just(")")),
      join(just("("), list, just(" == "), list, just(")")),
    ),
    item: fc.oneof(
      just("x == 'a'", "x != 'agent-1'", "dyn(x) > 'a'", "dyn(x).contains('-')", "x in ['a', 'b']", "true"),
      just(`dyn(x) == ${payload}.list[1]`, "dyn(x).list[0] == 1", "size(dyn(x)) > 1"),
    ),
    number: fc.oneof(
      { depthSize: "small" },
      just("0", "3", "7u", "-1", "2.5", "signal.sequence", "signal.priority", "Priority.PRIORITY_HIGH", `${payload}.n`),
      just("signal.agent_completed.quality_score", "signal.timestamp.getSeconds()", `${payload}.list[0]`),
      join(just("size("), fc.oneof(text, list), just(")")),
      join(
        just("("),
        just("1", "size(signal.metadata)"),
        just(" + ", " - ", " * ", " / ", " % "),
        just("0", "2"),
        just(")"),
      ),
    ),
    text: fc.oneof(
      { depthSize: "small" },
      just("''", "'a'", "'stage'", "signal.sender_agent_id", "signal.metadata.stage", "signal.metadata['none']"),
      just(
        `${payload}.text`,
        "signal.recipient_agent_ids[0]",
        "string(signal.timestamp)",
        "type('') == string ? 'a' : ''",
      ),
      join(just("("), text, just(" + "), text, just(")")),
      join(just("string("), number, just(")")),
    ),
    list: fc.oneof(
      { depthSize: "small" },
      just(
        "[]",
        "['a', 'b']",
        "signal.recipient_agent_ids",
        `${payload}.list`,
        `${payload}.deep.list`,
        "[1, 'a', true]",
      ),
      join(list, just(".filter(x, ", ".map(x, "), item, just(")")),
      join(list, just(".map(x, x != 'a', [x])")),
      join(just("("), list, just(" + "), list, just(")")),
    ),
  };
}).bool;

/** What the same words make when nobody knows the grammar. */
const ungrammatical = fc
  .array(
    fc.constantFrom(
      ...leaves,
      ...infix,
      ...macros,
      ..."()[]{}.,?:!'\"\\".split(""),
      "has(",
      "//",
      "\n",
      "`",
      "@result",
    ),
    {
      maxLength: 40,
    },
  )
  .map((words) => words.join(""));

/** Signals that expressions find little in, or much. */
export const evaluatedSignals: readonly CoordinationSignal[] = [
  create(CoordinationSignalSchema),
  signalWith({}),
  signalWith({
    list: [1, "a", null, [true], { list: [1] }],
    n: 3,
    none: null,
    text: "abab".repeat(50),
    deep: { list: ["a", "b"] },
  }),
  signalWith({
    list: Array.from({ length: 10_000 }, (_, index) => index),
    text: "ab".repeat(25_000),
    deep: { list: Array.from({ length: 1_000 }, () => ({ list: [0, 1] })) },
    constructor: "a",
    length: 1,
  }),
];

function signalWith(payloadValue: JsonObject): CoordinationSignal {
  return create(CoordinationSignalSchema, {
    sequence: 7n,
    senderAgentId: "a",
    timestamp: { seconds: 1_764_000_000n },
    recipientAgentIds: Array.from({ length: 200 }, (_, index) => `agent-${index}`),
    metadata: { stage: "a", length: "b" },
    event: { case: "interAgentMessage", value: { payload: payloadValue } },
  });
}

/** Whatever a client may send as an expression. */
export const anyExpression = fc.oneof(grammatical, typed, ungrammatical, fc.string({ maxLength: 60 }));
