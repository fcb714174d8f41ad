/**
 * Splits one document into a contract per event type, each a schema that stands for itself.
 *
 * - A root that is nothing but a union (`oneOf` or `anyOf`) of definitions: one contract per member, named for its definition.
 * - A root that says something else: one contract, named for its title, else for the definition it refers to, else for the file.
 * - A root with definitions only: one contract per definition.
 *
 * A contract keeps the definitions that it can reach, under their own names, and refers to its own by `$ref`.
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../json-value.js";
import { maxEventTypeLength, maxEventTypes } from "../limits.js";
import { WorkflowInputError } from "../workflow-input-error.js";
import type { ContractDocument } from "./contract-document.js";
import { dialectUris } from "./schema-dialect.js";
import {
  type DefinitionReference,
  definitionKeywords,
  definitionReferenceFrom,
  referencesIn,
  referenceTo,
  resolveReference,
} from "./schema-references.js";

/** What one event type must look like. */
export interface Contract {
  /** Unique within the document; 1 to 200 characters, none of them a control character. */
  readonly eventType: string;
  /** Where the contract is in the document: `#` for its root. */
  readonly pointer: string;
  /** Name to give its root type in generated code. */
  readonly typeName: string;
  /** The contract with everything it refers to. */
  readonly schema: JsonObject;
}

/** Keywords that say nothing about values: a root may carry them beside its union or its definitions. */
const annotationKeywords: ReadonlySet<string> = new Set([
  ...["$schema", "$id", "$comment", "$vocabulary", "title", "description", "examples", "default"],
  ...definitionKeywords,
]);

/**
 * Splits a document into contracts, in the order of the document.
 * @throws WorkflowInputError when it refers to other files or to what does not exist, or has no or too many event types.
 */
export function splitContract(document: ContractDocument): readonly Contract[] {
  checkReferences(document);
  const contracts = contractsOf(document);
  if (contracts.length === 0) throw new WorkflowInputError(`contract ${document.name} defines no event type`);
  if (contracts.length > maxEventTypes) {
    throw new WorkflowInputError(
      `contract ${document.name} has ${contracts.length} event types, limit is ${maxEventTypes}`,
    );
  }
  for (const { eventType } of contracts) checkEventType(eventType);
  return contracts;
}

function contractsOf(document: ContractDocument): readonly Contract[] {
  const { schema } = document;
  const constraints = Object.keys(schema).filter((keyword) => !annotationKeywords.has(keyword));
  if (constraints.length === 0) return withTypeNames(document, allDefinitions(schema));
  const members = constraints.length === 1 ? unionMembers(schema) : undefined;
  // A reference to the root means the whole union: cut into members, it would mean something else.
  if (members === undefined || !isSplittable(schema)) return [wholeDocument(document)];
  return withTypeNames(document, members);
}

function wholeDocument({ name, dialect, schema }: ContractDocument): Contract {
  const title = schema["title"];
  const reference = schema["$ref"];
  const referred = typeof reference === "string" ? definitionReferenceFrom(reference)?.name : undefined;
  const eventType = (typeof title === "string" && title.trim() !== "" ? title.trim() : referred) ?? name;
  return { eventType, pointer: "#", typeName: eventType, schema: { ...schema, $schema: dialectUris[dialect] } };
}

function withTypeNames(document: ContractDocument, definitions: readonly DefinitionReference[]): readonly Contract[] {
  const eventTypes = eventTypesOf(definitions.map((definition) => definition.name));
  return definitions.map((definition, index) => {
    const pointer = referenceTo(definition);
    return {
      eventType: eventTypes[index] ?? definition.name,
      pointer,
      typeName: definition.name,
      schema: bundle(document, pointer),
    };
  });
}

/** `star_event` is the event type `star`, provided that every name ends so. */
function eventTypesOf(names: readonly string[]): readonly string[] {
  const ending = /[_$]event$/;
  const shortened = names.map((name) => name.replace(ending, ""));
  const isConsistent = names.every((name) => ending.test(name)) && shortened.every((name) => name !== "");
  return isConsistent && new Set(shortened).size === names.length ? shortened : names;
}

function allDefinitions(schema: JsonObject): readonly DefinitionReference[] {
  return definitionKeywords.flatMap((keyword) => {
    const definitions = schema[keyword];
    return isJsonObject(definitions) ? Object.keys(definitions).map((name) => ({ keyword, name })) : [];
  });
}

/** The definitions that a union refers to; undefined when a member is written in place, or one is named twice. */
function unionMembers(schema: JsonObject): readonly DefinitionReference[] | undefined {
  const union = schema["oneOf"] ?? schema["anyOf"];
  if (!Array.isArray(union)) return undefined;
  const members: DefinitionReference[] = [];
  for (const member of union) {
    const reference = isJsonObject(member) && Object.keys(member).length === 1 ? member["$ref"] : undefined;
    if (typeof reference !== "string" || resolveReference(schema, reference) === undefined) return undefined;
    const definition = definitionReferenceFrom(reference);
    if (definition === undefined || members.some(({ name }) => name === definition.name)) return undefined;
    members.push(definition);
  }
  return members;
}

function isSplittable(schema: JsonObject): boolean {
  return referencesIn(schema).every((reference) => definitionReferenceFrom(reference) !== undefined);
}

/** The part of a document that one definition needs, in the document's own order. */
function bundle({ dialect, schema }: ContractDocument, pointer: string): JsonObject {
  const reached = reachableFrom(schema, pointer);
  const bundled: JsonObject = { $schema: dialectUris[dialect], $ref: pointer };
  for (const keyword of definitionKeywords) {
    const definitions = schema[keyword];
    if (!isJsonObject(definitions)) continue;
    const kept = Object.entries(definitions).filter(([name]) => reached.has(referenceTo({ keyword, name })));
    if (kept.length > 0) bundled[keyword] = Object.fromEntries(kept);
  }
  return bundled;
}

function reachableFrom(schema: JsonObject, pointer: string): ReadonlySet<string> {
  const reached = new Set<string>();
  const pending = [pointer];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const definition = definitionReferenceFrom(next);
    if (definition === undefined) continue;
    const canonical = referenceTo(definition);
    if (reached.has(canonical)) continue;
    reached.add(canonical);
    const target: JsonValue | undefined = resolveReference(schema, canonical);
    if (target !== undefined) pending.push(...referencesIn(target));
  }
  return reached;
}

function checkReferences({ name, schema }: ContractDocument): void {
  for (const reference of referencesIn(schema)) {
    if (!reference.startsWith("#")) {
      throw new WorkflowInputError(
        `contract ${name} refers to ${JSON.stringify(reference)}, which is outside the file; bundle it into one file first`,
      );
    }
    const definition = definitionReferenceFrom(reference);
    if (definition !== undefined && resolveReference(schema, referenceTo(definition)) === undefined) {
      throw new WorkflowInputError(`contract ${name} refers to ${JSON.stringify(reference)}, which it does not define`);
    }
  }
}

function checkEventType(eventType: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (eventType.length > maxEventTypeLength || eventType.length === 0 || /[\x00-\x1f\x7f]/.test(eventType)) {
    throw new WorkflowInputError(
      `event type ${JSON.stringify(eventType)} must have 1 to ${maxEventTypeLength} characters and no control character`,
    );
  }
}
