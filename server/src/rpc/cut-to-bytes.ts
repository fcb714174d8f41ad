import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { maxResponseBytes } from "../model/limits.js";

/** How a list is cut. */
export interface CutOptions<Item, Message> {
  readonly messageOf: (item: Item) => Message;
  /** Default 1 MiB. */
  readonly maxBytes?: number;
}

/** As many of the items, in their order, as fit as messages. Those behind are not looked at. */
export function cutToBytes<Item, Desc extends DescMessage>(
  schema: Desc,
  items: Iterable<Item>,
  { messageOf, maxBytes = maxResponseBytes }: CutOptions<Item, MessageShape<Desc>>,
): MessageShape<Desc>[] {
  const messages: MessageShape<Desc>[] = [];
  let bytes = 0;
  for (const item of items) {
    const message = messageOf(item);
    bytes += toBinary(schema, message).length;
    if (bytes > maxBytes) break;
    messages.push(message);
  }
  return messages;
}
