import { type LogPart, readLogAfter } from "../state/read-log.js";
import type { ReadingOrder, ReadingSource, ReadPart } from "./reading-order.js";

/** As the signals stand in the log. */
export const sequenceOrder: ReadingOrder = {
  levelCount: 1,
  readNext: (source, [position = 0n]) => {
    const part = readLogAfter(source.reader, source.session, position);
    return part instanceof Promise ? part.then((read) => seenPart(source, read)) : seenPart(source, part);
  },
};

function seenPart(source: ReadingSource, part: LogPart): ReadPart {
  const { entries, cutAtSequence } = source.view.seeAll(part.entries, (entry) => source.isForReader(entry));
  return { entries, positions: [cutAtSequence ?? part.throughSequence] };
}
