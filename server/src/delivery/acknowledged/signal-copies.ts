import { CoordinationError } from "../../model/coordination-error.js";
import { LogEntry } from "../../model/log-entry.js";
import type { Draft } from "../../state/draft.js";
import type { LogReader } from "../../state/log-reader.js";
import { plainOperation } from "../../state/operation.js";
import type { SessionState } from "../../state/session-state.js";
import { signalKey } from "../../state/subscription-record.js";
import type { AcknowledgementEnvironment } from "./acknowledgement-environment.js";

/*
 * A dead letter keeps its signal, which operations on a draft cannot read. So an operation says which signals it lacks, and runs
 * again with them. The log up to a sequence never changes, and a signal that leaves it meanwhile takes its delivery with it.
 */

/** Signals that an operation may need. */
export class SignalCopies {
  readonly #known: ReadonlyMap<string, Uint8Array>;
  readonly #missing = new Set<string>();

  constructor(known: ReadonlyMap<string, Uint8Array>) {
    this.#known = known;
  }

  /** The bytes of a signal; where they are not known they will be when the operation runs again. */
  get(sequence: string): Uint8Array | undefined {
    const bytes = this.#known.get(sequence);
    if (bytes === undefined) this.#missing.add(sequence);
    return bytes;
  }

  /** Throws where something was missing: what the operation did is undone. */
  check(): void {
    if (this.#missing.size > 0) throw new SignalsMissing([...this.#missing]);
  }
}

class SignalsMissing extends Error {
  readonly sequences: readonly string[];

  constructor(sequences: readonly string[]) {
    super(`${sequences.length} signals have to be read`);
    this.sequences = sequences;
  }
}

// The deliveries may be others each time, but hardly ever are.
const maxAttempts = 8;

/** Runs an operation that may need signals, with those that it turns out to need. Rejects with what it throws otherwise. */
export async function executeWithSignals<T>(
  { directory, reader }: AcknowledgementEnvironment,
  session: SessionState,
  run: (draft: Draft, copies: SignalCopies) => T,
): Promise<T> {
  const known = new Map<string, Uint8Array>();
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    try {
      return await directory.execute(
        session.coordinationId,
        plainOperation((draft) => {
          const copies = new SignalCopies(known);
          const result = run(draft, copies);
          copies.check();
          return result;
        }),
      );
    } catch (error) {
      if (!(error instanceof SignalsMissing)) throw error;
      await readInto(known, { reader, session, sequences: error.sequences });
    }
  }
  throw new CoordinationError("STORE_UNAVAILABLE", "the deliveries kept changing: try again", { retryDelayMs: 100 });
}

async function readInto(
  known: Map<string, Uint8Array>,
  {
    reader,
    session,
    sequences,
  }: { readonly reader: LogReader; readonly session: SessionState; readonly sequences: readonly string[] },
): Promise<void> {
  for (const sequence of sequences) {
    const entry = await readSignal(reader, session, BigInt(sequence));
    if (entry !== undefined) known.set(sequence, entry.bytes);
  }
}

/** Reads one signal from the log; undefined when it has left the store. */
export async function readSignal(
  reader: LogReader,
  { header, tail }: SessionState,
  sequence: bigint,
): Promise<LogEntry | undefined> {
  if (header === undefined || sequence > header.headSequence) return undefined;
  const fromSequence = sequence - 1n;
  const [entry] =
    fromSequence >= tail.floorSequence
      ? tail.readAfter(fromSequence, 1, 0)
      : await reader.forward(header, { fromSequence, maxEntries: 1 });
  return entry?.sequence === sequence ? entry : undefined;
}

/** Reads a signal that is kept beside the log. */
export async function readHeldSignal(
  { store }: AcknowledgementEnvironment,
  { header }: SessionState,
  name: string,
  sequence: string,
): Promise<LogEntry | undefined> {
  if (header === undefined) return undefined;
  const key = signalKey(name, sequence);
  const { coordinationId, epoch } = header;
  // The journal is read from behind a key: the one asked for is the first at or before it.
  const fromKey = `${key}\0`;
  const [record] = await store.readJournal({
    coordinationId,
    epoch,
    kind: "heldSignal",
    fromKey,
    descending: true,
    limit: 1,
  });
  if (record?.key !== key) return undefined;
  return new LogEntry({ sequence: BigInt(sequence), bytes: record.value });
}
