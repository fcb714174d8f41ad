import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { maxResponseBytes } from "../model/limits.js";

/** As many of the items, in their order, as fit into 1 MiB as messages. */
export function cutToBytes<Item, Desc extends DescMessage>(
  schema: Desc,
  items: readonly Item[],
  messageOf: (item: Item) => MessageShape<Desc>,
): MessageShape<Desc>[] {
  const messages: MessageShape<Desc>[] = [];
  let bytes = 0;
  for (const item of items) {
    const message = messageOf(item);
    bytes += toBinary(schema, message).length;
    if (bytes > maxResponseBytes) break;
    messages.push(message);
  }
  return messages;
}
