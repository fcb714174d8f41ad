import { readLogAfter } from "../state/read-log.js";
import type { ReadingOrder, ReadingSource } from "./reading-order.js";

/** As the signals stand in the log. */
export function sequenceOrder({ session, reader, view, isForReader }: ReadingSource): ReadingOrder {
  return {
    levelCount: 1,
    readNext: async ([position = 0n]) => {
      const part = await readLogAfter(reader, session, position);
      const { entries, cutAtSequence } = view.seeAll(part.entries, isForReader);
      return { entries, positions: [cutAtSequence ?? part.throughSequence] };
    },
  };
}
