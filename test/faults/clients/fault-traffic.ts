import { setMaxListeners } from "node:events";
import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import type { FaultReport } from "../harness/fault-report.js";
import type { FaultServers } from "../harness/fault-servers.js";
import { nextMoment } from "../harness/next-moment.js";
import type { Random } from "../harness/random.js";
import { type CoordinationJournal, LogChecker } from "../journal/check-log.js";
import { isDirected } from "../journal/planned-signal.js";
import { ReaderJournal } from "../journal/reader-journal.js";
import { WriterJournal } from "../journal/writer-journal.js";
import { runFaultReader } from "./fault-reader.js";
import { FaultWriter } from "./fault-writer.js";
import { RoamingClient } from "./roaming-client.js";
import { runSdkReader, type SdkPatience } from "./sdk-reader.js";
import { isUnknownOutcome } from "./unknown-outcome.js";

/** How much traffic there is. */
export interface FaultTrafficOptions {
  readonly servers: FaultServers;
  readonly report: FaultReport;
  readonly random: Random;
  readonly coordinations: number;
  readonly writersEach: number;
  /** Told of every signal acknowledged for the first time. */
  readonly onAcknowledged: (count: number) => void;
  /** How long plain clients wait for an answer, and read one stream, before they go on with the next server; default: for ever. */
  readonly patienceMs?: number;
  /** How long a writer waits before it sends more; default: not at all. */
  readonly writePauseMs?: number;
  /** How the clients that use the SDK notice a connection that says nothing; default: half a second between checkpoints. */
  readonly sdkPatience?: SdkPatience;
  /** Told of every subscription that went on where another one had ended. */
  readonly onResumed?: () => void;
}

/** The agent that directed signals are not for. */
const bystander = "bystander";
const defaultSdkPatience: SdkPatience = { checkpointIntervalMs: 500 };
const settleTimeoutMs = 120_000;

/**
 * Writers and readers of several coordinations, each with a connection and a journal of its own. Each coordination has a plain
 * observer, a plain agent, and an agent that uses the SDK.
 */
export class FaultTraffic {
  readonly #options: FaultTrafficOptions;
  readonly #journals: readonly CoordinationJournal[];
  readonly #clients: RoamingClient[] = [];
  readonly #ending = new AbortController();
  readonly #readers: Promise<void>[];
  readonly #ended = new Set<ReaderJournal>();

  constructor(options: FaultTrafficOptions) {
    this.#options = options;
    this.#journals = Array.from({ length: options.coordinations }, (_, index) => ({
      coordinationId: `faults-${index}`,
      writers: Array.from({ length: options.writersEach }, (_, writer) => new WriterJournal(writer)),
      readers: [
        new ReaderJournal("observer", () => true),
        new ReaderJournal("agent", (planned) => !isDirected(planned)),
        new ReaderJournal("agent by SDK", (planned) => !isDirected(planned)),
      ],
    }));
    // Every reader listens to it.
    setMaxListeners(0, this.#ending.signal);
    this.#readers = this.#journals.flatMap((journal) => this.#startReaders(journal));
  }

  /** Writes until told to stop and until everything sent is settled. */
  async write(isDone: () => boolean): Promise<void> {
    await Promise.all(this.#journals.flatMap((journal) => this.#startWriters(journal, isDone)));
  }

  /** Waits until the readers have got everything, ends them, and checks the logs. */
  async finish(): Promise<void> {
    for (const journal of this.#journals) await this.#awaitReaders(journal);
    this.#ending.abort();
    await Promise.all(this.#readers);
    for (const journal of this.#journals) await this.#check(journal);
    for (const client of this.#clients) client.disconnect();
  }

  #connect(): RoamingClient {
    const client = new RoamingClient(this.#options.servers.urls, this.#clients.length);
    this.#clients.push(client);
    return client;
  }

  #startWriters({ coordinationId, writers }: CoordinationJournal, isDone: () => boolean): Promise<void>[] {
    const { servers, random, onAcknowledged, report, patienceMs, writePauseMs = 0 } = this.#options;
    return writers.map((journal) => {
      const writer = new FaultWriter({
        coordinationId,
        journal,
        client: this.#connect(),
        servers,
        callTimeoutMs: patienceMs,
        pauseMs: writePauseMs,
        random: random.fork(`${coordinationId}/${journal.writer}`),
        onAcknowledged,
        onWrong: (finding) => report.violation("otherwise wrong", `${coordinationId}: ${finding}`),
      });
      return writer.run(isDone);
    });
  }

  #startReaders({ coordinationId, readers }: CoordinationJournal): Promise<void>[] {
    const {
      servers,
      patienceMs,
      sdkPatience: patience = defaultSdkPatience,
      onResumed = () => undefined,
    } = this.#options;
    const { signal } = this.#ending;
    const [observer, agent, sdk] = readers;
    if (observer === undefined || agent === undefined || sdk === undefined) return [];
    const plain = { coordinationId, servers, streamTimeoutMs: patienceMs, onResumed, signal };
    const bySdk = { coordinationId, urls: servers.urls, patience, onResumed, signal };
    const watch = (journal: ReaderJournal, reading: Promise<void>): Promise<void> =>
      reading.catch((error: unknown) => this.#readerEnded(coordinationId, journal, error));
    return [
      watch(observer, runFaultReader({ ...plain, agentId: "", journal: observer, client: this.#connect() })),
      watch(agent, runFaultReader({ ...plain, agentId: bystander, journal: agent, client: this.#connect() })),
      watch(sdk, runSdkReader({ ...bySdk, agentId: bystander, journal: sdk })),
    ];
  }

  #readerEnded(coordinationId: string, reader: ReaderJournal, error: unknown): void {
    this.#ended.add(reader);
    const text = String(error);
    // Where a cursor is ahead of the log, its reader was shown what the log does not hold any more.
    const kind = text.includes("is ahead of the head") ? "shown before durable" : "otherwise wrong";
    this.#options.report.violation(kind, `${coordinationId}: ${reader.name} ended with ${text}`);
  }

  async #awaitReaders({ coordinationId, readers }: CoordinationJournal): Promise<void> {
    const { report, servers } = this.#options;
    await servers.whenUp();
    const headSequence = await this.#head(coordinationId);
    const deadlineMs = performance.now() + settleTimeoutMs;
    for (const reader of readers) {
      const isReading = () => reader.throughSequence < headSequence && !this.#ended.has(reader);
      while (isReading() && performance.now() < deadlineMs) await nextMoment();
      if (!isReading()) continue;
      const finding = `${reader.name} is at ${reader.throughSequence} of ${headSequence} after ${settleTimeoutMs} ms`;
      report.violation("lost", `${coordinationId}: ${finding}`);
    }
  }

  /** The head, from the first server that can tell: after the last fault some are still on their way back. */
  async #head(coordinationId: string): Promise<bigint> {
    const client = this.#connect();
    const deadlineMs = performance.now() + settleTimeoutMs;
    for (;;) {
      try {
        return (await client.signals.getSignalMetrics({ coordinationId })).headSequence;
      } catch (error) {
        if (!isUnknownOutcome(error) || performance.now() > deadlineMs) throw error;
        client.leave();
        await nextMoment();
      }
    }
  }

  async #check(journal: CoordinationJournal): Promise<void> {
    const checker = new LogChecker(this.#options.report, journal);
    const headSequence = await this.#head(journal.coordinationId);
    await this.#readLog(journal.coordinationId, { headSequence, onSignal: (signal) => checker.check(signal) });
    checker.finish(true);
  }

  /** Reads a log from its first signal, from server to server: after the last fault some are still on their way back. */
  async #readLog(coordinationId: string, { headSequence, onSignal }: LogReading): Promise<void> {
    const client = this.#connect();
    const deadlineMs = performance.now() + settleTimeoutMs;
    let through = 0n;
    while (through < headSequence) {
      const abort = new AbortController();
      const start = { case: "afterSequence", value: through } as const;
      try {
        const stream = client.signals.subscribe({ coordinationId, start }, { signal: abort.signal });
        for await (const { item } of stream) {
          if (item.case === "batch") for (const signal of item.value.signals) onSignal(signal);
          if (item.case === "batch" || item.case === "checkpoint") through = item.value.throughSequence;
          if (through >= headSequence) break;
        }
      } catch (error) {
        if (!isUnknownOutcome(error) || performance.now() > deadlineMs) throw error;
        client.leave();
        await nextMoment();
      } finally {
        abort.abort();
      }
    }
  }
}

/** What is read of a log, and who is told. */
interface LogReading {
  readonly headSequence: bigint;
  readonly onSignal: (signal: CoordinationSignal) => void;
}
