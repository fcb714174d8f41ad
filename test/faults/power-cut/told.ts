import type { CoordinationJournal } from "../journal/check-log.js";
import { ReaderJournal } from "../journal/reader-journal.js";
import { WriterJournal } from "../journal/writer-journal.js";
import type { Marker } from "./marker.js";
import type { Trace } from "./trace.js";

interface Told extends CoordinationJournal {
  readonly writers: WriterJournal[];
  readonly readers: readonly [ReaderJournal];
}

/** What everybody had been told at a time, by coordination. */
export function toldUntil(trace: Trace, at: number): readonly CoordinationJournal[] {
  const journals = new Map<string, Told>();
  for (const { at: toldAt, marker } of trace.markers) {
    if (toldAt >= at) continue;
    const { coordinationId } = marker;
    const journal = journals.get(coordinationId) ?? newJournal(coordinationId);
    journals.set(coordinationId, journal);
    note(journal, marker);
  }
  return [...journals.values()];
}

function newJournal(coordinationId: string): Told {
  return { coordinationId, writers: [], readers: [new ReaderJournal("observer", () => true)] };
}

function note({ writers, readers: [reader] }: Told, marker: Marker): void {
  switch (marker.kind) {
    case "sent":
      writerOf(writers, marker.writer).plan(marker.count, marker.isAtomic);
      return;
    case "acknowledged":
      for (const [index, sequence] of marker.sequences.entries()) {
        writerOf(writers, marker.writer).acknowledge(marker.first + index, BigInt(sequence));
      }
      return;
    case "shown":
      reader.scanned(BigInt(marker.after), BigInt(marker.through));
      for (const [sequence, signalId, requestId] of marker.signals) {
        reader.shown({ sequence: BigInt(sequence), signalId, requestId });
      }
  }
}

function writerOf(writers: WriterJournal[], writer: number): WriterJournal {
  for (let next = writers.length; next <= writer; next++) writers.push(new WriterJournal(next));
  const found = writers[writer];
  if (found === undefined) throw new Error(`no writer ${writer}`);
  return found;
}
