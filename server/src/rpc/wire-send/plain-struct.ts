import { maxStructDepth } from "../../model/limits.js";
import { contentAt, MapOrder, orderEntries } from "./map-order.js";
import type { PlainReader } from "./plain-reader.js";

const entryTag = 0x0a;
const keyTag = 0x0a;
const valueTag = 0x12;
const nullTag = 0x08;
const numberTag = 0x11;
const stringTag = 0x1a;
const boolTag = 0x20;
const structTag = 0x2a;
const listTag = 0x32;
const itemTag = 0x0a;

/** Reads the content of a Struct, which was taken last. Answers whether its entries are in order, at every level. */
export function readStruct(reader: PlainReader, depth = 1): boolean {
  const outerEnd = reader.enter();
  const order = new MapOrder(reader);
  let isOrdered = depth <= maxStructDepth || reader.give();
  while (reader.at < reader.end) {
    if (!reader.takesField(entryTag)) reader.give();
    const entryEnd = reader.enter();
    if (reader.takesField(keyTag) && reader.isTextOrEmpty()) order.see();
    else reader.give();
    if (reader.takesField(valueTag)) isOrdered = readValue(reader, depth + 1) && isOrdered;
    else reader.give();
    reader.leave(entryEnd);
  }
  reader.leave(outerEnd);
  return isOrdered && order.isKept;
}

/** Reads the content of a Value, which was taken last. Answers whether all maps in it are in order. */
function readValue(reader: PlainReader, depth: number): boolean {
  const outerEnd = reader.enter();
  let isOrdered = true;
  if (reader.takes(nullTag)) reader.expect(reader.takes(0));
  else if (reader.takes(numberTag)) reader.expect(Number.isFinite(reader.double()));
  else if (reader.takes(boolTag)) reader.expect(reader.takes(0) || reader.takes(1));
  else if (reader.takes(structTag)) isOrdered = reader.takesContent() && readStruct(reader, depth);
  else if (reader.takes(listTag)) isOrdered = reader.takesContent() && readList(reader, depth);
  else reader.expect(reader.takesField(stringTag) && reader.isTextOrEmpty());
  reader.leave(outerEnd);
  return isOrdered;
}

function readList(reader: PlainReader, depth: number): boolean {
  const outerEnd = reader.enter();
  let isOrdered = depth <= maxStructDepth || reader.give();
  while (reader.at < reader.end) {
    if (reader.takesField(itemTag)) isOrdered = readValue(reader, depth + 1) && isOrdered;
    else reader.give();
  }
  reader.leave(outerEnd);
  return isOrdered;
}

/** Puts the entries of a Struct that was read in order, at every level. Answers false when a key is there twice. */
export function orderStruct(bytes: Uint8Array, start: number, stop: number): boolean {
  for (let at = start; at < stop; ) {
    const entry = contentAt(bytes, at);
    const key = contentAt(bytes, entry.start);
    const value = contentAt(bytes, key.stop);
    if (!orderValue(bytes, value.start, value.stop)) return false;
    at = entry.stop;
  }
  return orderEntries(bytes, start, stop);
}

function orderValue(bytes: Uint8Array, start: number, stop: number): boolean {
  const tag = start < stop ? bytes[start] : undefined;
  if (tag === structTag) {
    const struct = contentAt(bytes, start);
    return orderStruct(bytes, struct.start, struct.stop);
  }
  if (tag !== listTag) return true;
  for (let at = contentAt(bytes, start).start; at < stop; ) {
    const item = contentAt(bytes, at);
    if (!orderValue(bytes, item.start, item.stop)) return false;
    at = item.stop;
  }
  return true;
}
