import type { PlainReader } from "./plain-reader.js";
import { readStruct } from "./plain-struct.js";

/*
 * What stands in an event. Invariant: nothing is taken for plain that the contract's rules refuse; lengths in bytes, which are
 * compared here, are never below those in characters. A test holds the two together.
 */

/** What has to be done with an event's bytes so that they are in the form in which they are stored. */
export interface EventRepair {
  /** Where the sender has to be named by a field with this tag, because the event leaves out whose it is. */
  missingAgentAt: number | undefined;
  missingAgentTag: number;
  /** Where a Struct stands whose entries are not in order. */
  unorderedStart: number | undefined;
  unorderedStop: number;
}

const maxIdBytes = 200;
const maxCapabilities = 128;
const maxArtifacts = 1_000;
const maxArtifactBytes = 1_024;

/** The sender's id, in the same bytes. */
export interface SenderPlace {
  readonly start: number;
  readonly stop: number;
}

/** Reads the content of an AgentInitialized. */
export function readAgentInitialized(reader: PlainReader, sender: SenderPlace, repair: EventRepair): void {
  readAgent(reader, sender, repair);
  for (let count = 1; reader.takesField(0x12); count++) {
    reader.expect(reader.isText(maxIdBytes) && count <= maxCapabilities);
  }
  if (reader.takes(0x18)) reader.expect(reader.takes(1));
  if (reader.takes(0x21)) reader.expect(isDuration(reader.double()));
}

/** Reads the content of an AgentCompleted. */
export function readAgentCompleted(reader: PlainReader, sender: SenderPlace, repair: EventRepair): void {
  readAgent(reader, sender, repair);
  if (reader.takesField(0x12)) reader.expect(reader.isText());
  if (reader.takes(0x19)) reader.expect(isScore(reader.double()));
  if (reader.takes(0x21)) reader.expect(isDuration(reader.double()));
  for (let count = 1; reader.takesField(0x2a); count++) {
    reader.expect(reader.isText(maxArtifactBytes) && count <= maxArtifacts);
  }
  if (reader.takesField(0x32)) reader.expect(reader.isTextOrEmpty());
}

/** Reads the content of a DependencyResolved. */
export function readDependencyResolved(reader: PlainReader, repair: EventRepair): void {
  reader.expect(reader.takesField(0x0a) && reader.isId());
  reader.expect(reader.takesField(0x12) && reader.isName(maxIdBytes));
  if (reader.takesField(0x1a)) reader.expect(reader.isId());
  else nameSenderHere(reader, 0x1a, repair);
  if (reader.takesField(0x22)) readOrderedStruct(reader, repair);
}

/** Reads the content of an InterAgentMessage. */
export function readInterAgentMessage(reader: PlainReader, repair: EventRepair): void {
  if (reader.takesField(0x0a)) reader.expect(reader.isText(maxIdBytes));
  if (reader.takesField(0x12)) reader.expect(reader.isText());
  if (reader.takes(0x18)) reader.expect(reader.takes(1));
  if (reader.takes(0x21)) reader.expect(isPositive(reader.double()));
  if (reader.takesField(0x2a)) readOrderedStruct(reader, repair);
}

/** The agent of an event is its sender; another one is refused by those who can say why. */
function readAgent(reader: PlainReader, sender: SenderPlace, repair: EventRepair): void {
  if (reader.takesField(0x0a)) reader.expect(reader.isSame(sender.start, sender.stop));
  else nameSenderHere(reader, 0x0a, repair);
}

function nameSenderHere(reader: PlainReader, tag: number, repair: EventRepair): void {
  repair.missingAgentAt = reader.at;
  repair.missingAgentTag = tag;
}

function readOrderedStruct(reader: PlainReader, repair: EventRepair): void {
  const { start, stop } = reader;
  if (readStruct(reader)) return;
  repair.unorderedStart = start;
  repair.unorderedStop = stop;
}

function isPositive(value: number): boolean {
  return value > 0 && Number.isFinite(value);
}

function isDuration(value: number): boolean {
  return value >= 0 && Number.isFinite(value);
}

function isScore(value: number): boolean {
  return value >= 0 && value <= 1;
}
