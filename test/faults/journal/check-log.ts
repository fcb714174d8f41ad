import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import type { FaultReport } from "../harness/fault-report.js";
import { NumberList } from "./number-list.js";
import { differenceFromPlan, type PlannedSignal, plannedFromRequestId } from "./planned-signal.js";
import type { ReaderJournal } from "./reader-journal.js";
import type { WriterJournal } from "./writer-journal.js";

/** What everybody was told of one coordination. */
export interface CoordinationJournal {
  readonly coordinationId: string;
  /** In the order of their numbers. */
  readonly writers: readonly WriterJournal[];
  readonly readers: readonly ReaderJournal[];
}

/**
 * Compares a coordination's log, from its first signal to its head, with what its writers and readers were told. Signals come
 * one after another and are not kept, so that a log of millions can be checked.
 */
export class LogChecker {
  readonly #report: FaultReport;
  readonly #journal: CoordinationJournal;
  /** By writer: the ordinals found, at one more than their sequence. */
  readonly #found: readonly NumberList[];
  readonly #lastOrdinals: number[];
  #head = 0n;
  /** The atomic batch that the log is in the middle of. */
  #batch: (PlannedSignal & { rest: number }) | undefined;

  constructor(report: FaultReport, journal: CoordinationJournal) {
    this.#report = report;
    this.#journal = journal;
    this.#found = journal.writers.map(() => new NumberList());
    this.#lastOrdinals = journal.writers.map(() => -1);
  }

  /** Checks the next signal of the log. */
  check(signal: CoordinationSignal): void {
    this.#report.signalsChecked += 1;
    const expected = this.#head + 1n;
    if (signal.sequence !== expected) this.#violation("lost", `sequence ${signal.sequence} follows ${this.#head}`);
    this.#head = signal.sequence;
    const planned = plannedFromRequestId(signal.requestId);
    const writer = planned && this.#journal.writers[planned.writer];
    if (planned === undefined || writer === undefined || planned.ordinal >= writer.sentCount) {
      this.#violation("otherwise wrong", `signal ${signal.sequence} was never sent: request_id "${signal.requestId}"`);
      return;
    }
    const difference = differenceFromPlan(signal, planned);
    if (difference !== undefined) this.#violation("otherwise wrong", `signal ${signal.sequence}: ${difference}`);
    this.#checkAcknowledgement(signal, planned, writer);
    this.#checkOrder(signal, planned);
    this.#checkBatch(planned, writer);
    for (const reader of this.#journal.readers) this.#checkReader(reader, signal, planned);
  }

  /** Looks for what the log should have held. `settled` says that no outcome is unknown any more. */
  finish(settled: boolean): void {
    if (this.#batch !== undefined) this.#violation("otherwise wrong", "the log ends in the middle of an atomic batch");
    for (const [index, writer] of this.#journal.writers.entries()) this.#checkFound(index, writer, settled);
    for (const { name, lastShown, findings } of this.#journal.readers) {
      if (lastShown > this.#head) {
        this.#violation(
          "shown before durable",
          `${name} was shown signal ${lastShown}, the log ends with ${this.#head}`,
        );
      }
      for (const finding of findings) this.#violation("reordered", `${name}: ${finding}`);
    }
  }

  #checkAcknowledgement(signal: CoordinationSignal, planned: PlannedSignal, writer: WriterJournal): void {
    const found = this.#found[planned.writer];
    const earlier = found?.at(planned.ordinal) ?? 0;
    if (earlier > 0) {
      this.#violation("duplicated", `request ${signal.requestId} made signals ${earlier} and ${signal.sequence}`);
    }
    found?.set(planned.ordinal, Number(signal.sequence));
    const acknowledged = writer.acknowledgedSequence(planned.ordinal);
    if (acknowledged !== undefined && acknowledged !== Number(signal.sequence)) {
      this.#violation("lost", `request ${signal.requestId} was acknowledged as ${acknowledged}, is ${signal.sequence}`);
    }
  }

  #checkOrder(signal: CoordinationSignal, { writer, ordinal }: PlannedSignal): void {
    const last = this.#lastOrdinals[writer] ?? -1;
    if (ordinal < last)
      this.#violation("reordered", `signal ${signal.sequence}: request ${writer}-${ordinal} after ${last}`);
    this.#lastOrdinals[writer] = ordinal;
  }

  #checkBatch(planned: PlannedSignal, writer: WriterJournal): void {
    if (this.#batch !== undefined) {
      const { writer: ofWriter, ordinal, rest } = this.#batch;
      if (planned.writer !== ofWriter || planned.ordinal !== ordinal) {
        this.#violation("otherwise wrong", `an atomic batch lacks ${ofWriter}-${ordinal} and ${rest - 1} after it`);
      }
      this.#batch = rest > 1 ? { writer: ofWriter, ordinal: ordinal + 1, rest: rest - 1 } : undefined;
      return;
    }
    const length = writer.atomicBatches.get(planned.ordinal) ?? 1;
    if (length > 1) this.#batch = { writer: planned.writer, ordinal: planned.ordinal + 1, rest: length - 1 };
  }

  #checkReader(reader: ReaderJournal, signal: CoordinationSignal, planned: PlannedSignal): void {
    const comparison = reader.compare(signal);
    if (comparison === "other") {
      this.#violation("shown before durable", `${reader.name} was shown another signal as ${signal.sequence}`);
    }
    const { sequence } = signal;
    const isDue = sequence >= reader.firstSequence && sequence <= reader.throughSequence;
    if (comparison === "not shown" && isDue && reader.wants(planned)) {
      this.#violation(
        "lost",
        `${reader.name} was not shown signal ${sequence}, and was told of ${reader.throughSequence}`,
      );
    }
    if (comparison === "same" && !reader.wants(planned)) {
      this.#violation("otherwise wrong", `${reader.name} was shown signal ${sequence}, which is not for it`);
    }
  }

  #checkFound(index: number, writer: WriterJournal, settled: boolean): void {
    const found = this.#found[index];
    for (let ordinal = 0; ordinal < writer.sentCount; ordinal++) {
      if ((found?.at(ordinal) ?? 0) > 0) continue;
      const acknowledged = writer.acknowledgedSequence(ordinal);
      if (acknowledged !== undefined) {
        this.#violation(
          "lost",
          `request ${writer.writer}-${ordinal}, acknowledged as ${acknowledged}, is not in the log`,
        );
      } else if (settled) {
        this.#violation(
          "lost",
          `request ${writer.writer}-${ordinal} was sent until it succeeded and is not in the log`,
        );
      }
    }
  }

  #violation(kind: Parameters<FaultReport["violation"]>[0], finding: string): void {
    this.#report.violation(kind, `${this.#journal.coordinationId}: ${finding}`);
  }
}
