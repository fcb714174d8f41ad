/*
 * Kills the consumers of one subscription and their server again and again while they work, and compares what they were handed
 * with what the server says of it: every signal is done or a dead letter, nobody had one at the same time as somebody else, and what
 * cannot be done is parked after exactly so many attempts. At the end the dead letters are put back, and everything is done.
 */
import { setMaxListeners } from "node:events";
import { join } from "node:path";
import { DeadLetterReason } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { openTestPostgres } from "../support/test-postgres.js";
import { FaultConsumer } from "./clients/fault-consumer.js";
import { settledCall, settleTimeoutMs } from "./clients/settled-call.js";
import { type FaultRun, runFaultProgram } from "./harness/fault-program.js";
import type { FaultReport } from "./harness/fault-report.js";
import { builtServer, KillableServer, plantedServer } from "./harness/killable-server.js";
import { nextMoment } from "./harness/next-moment.js";
import { skipProgram } from "./harness/skipped.js";
import { withTemporaryDirectory } from "./harness/temporary-directory.js";
import { DeadLetterBook, type ListPage } from "./journal/dead-letter-book.js";
import { DeliveryJournal } from "./journal/delivery-journal.js";
import { serverBugs } from "./planted/server-bugs.js";

const name = "ack-kills";
const consumerCount = 4;
const maxAttempts = 6;
const signalsPerKill = 10;
const batchSignals = 20;
/** One of so many signals cannot be done. */
const poisonEvery = 400;
/** One of so many kills is the server's. */
const serverKillEvery = 4;
/** The dead letters are read so often that none can go unseen: a kill makes two of them, and 1,000 are kept. */
const bookEveryKills = 50;
const coordinationId = "acks";
const subscription = "work";

await runFaultProgram({
  name,
  about:
    "Kills consumers and their server while they work, and checks that every signal is done or parked, by one consumer at a time.",
  settings: { kills: { about: "kills", short: 200, deep: 10_000 } },
  stores: ["lmdb", "postgres"],
  plantedBugs: serverBugs,
  run: (run) => withStore(run.store, (store) => ackKills(run, store)),
});

/** Makes an empty store of a kind. */
async function withStore(kind: string | undefined, use: (url: string) => Promise<void>): Promise<void> {
  if (kind !== "postgres") return withTemporaryDirectory((directory) => use(`lmdb:${join(directory, "store")}`));
  await using postgres = await openTestPostgres();
  if (postgres === undefined) skipProgram(name, "there is no PostgreSQL");
  await use(await postgres.createDatabase());
}

async function ackKills(run: FaultRun<"kills">, store: string): Promise<void> {
  const { report, random, plantedBug } = run;
  const entry = plantedBug === undefined ? builtServer : plantedServer(plantedBug);
  await using server = await KillableServer.start(entry, ["--store", store, "--max-history-signals", "1000000000"]);
  const journal = new DeliveryJournal(report, maxAttempts);
  const ending = new AbortController();
  // Every consumer listens to it, in each of its lives.
  setMaxListeners(0, ending.signal);
  const onWrong = (finding: string) => report.violation("otherwise wrong", finding);
  const consumers = Array.from({ length: consumerCount }, (_, index) => {
    const signal = ending.signal;
    const shared = { servers: server, journal, coordinationId, subscription, maxAttempts, isPoison, onWrong, signal };
    return new FaultConsumer({ ...shared, name: `consumer ${index}`, random: random.fork(`consumer ${index}`) });
  });
  const working = consumers.map((consumer) => consumer.run().catch((error: unknown) => onWrong(String(error))));
  const checked = { server, consumers, journal, book: new DeadLetterBook(), report };
  const [sent] = await Promise.all([
    sendAll(server, run.sizes.kills * signalsPerKill, () => report.cycles < run.sizes.kills),
    killAgainAndAgain(run, checked),
  ]);
  await checkParked(checked, sent);
  for (const consumer of consumers) consumer.isDiligent = true;
  await checkRedriven(checked, sent);
  ending.abort();
  await Promise.all(working);
  for (const consumer of consumers) consumer.kill();
  report.figure(`${journal.deliveryCount.toLocaleString("en")} deliveries of ${sent.toLocaleString("en")} signals`);
  report.figure(`longest start ${Math.round(Math.max(...server.startTimesMs))} ms`);
}

function isPoison(message: string): boolean {
  return Number(message) % poisonEvery === 0;
}

interface Checked {
  readonly server: KillableServer;
  readonly consumers: readonly FaultConsumer[];
  readonly journal: DeliveryJournal;
  readonly book: DeadLetterBook;
  readonly report: FaultReport;
}

/** Each kill comes after a number of deliveries of chance, so that it falls anywhere in the work. */
async function killAgainAndAgain(run: FaultRun<"kills">, checked: Checked): Promise<void> {
  const { server, consumers, journal, book } = checked;
  const moments = run.random.fork("moments");
  while (run.report.cycles < run.sizes.kills) {
    const killAt = journal.deliveryCount + moments.integer(1, 2 * signalsPerKill - 1);
    const deadlineMs = performance.now() + settleTimeoutMs;
    while (journal.deliveryCount < killAt) {
      if (performance.now() > deadlineMs) throw new Error(`nothing was delivered for ${settleTimeoutMs} ms`);
      await nextMoment();
    }
    run.report.cycles += 1;
    if (run.report.cycles % bookEveryKills === 0) await book.readNew(deadLettersOf(server));
    if (moments.integer(1, serverKillEvery) > 1) {
      consumers[moments.integer(0, consumers.length - 1)]?.kill();
      continue;
    }
    journal.serverKilled();
    server.kill();
    await server.whenUp();
  }
}

/** Sends signals, each once, until there are so many and nobody needs more. Answers how many. */
async function sendAll(server: KillableServer, count: number, needsMore: () => boolean): Promise<number> {
  let sent = 0;
  while (sent < count || needsMore()) {
    const first = sent + 1;
    await settledCall(server, ({ signals }) =>
      signals.batchSendSignals({
        atomic: true,
        requests: Array.from({ length: batchSignals }, (_, index) => ({
          coordinationId,
          senderAgentId: "sender",
          requestId: String(first + index),
          event: { case: "interAgentMessage", value: { message: String(first + index) } },
        })),
      }),
    );
    sent += batchSignals;
    // Not far ahead of the consumers: kills are to fall into a log that grows.
    await nextMoment();
  }
  return sent;
}

/** Once all is settled every signal is done or a dead letter, and those are what they should be. */
async function checkParked({ server, journal, book, report }: Checked, sent: number): Promise<void> {
  await untilSettled(server, report);
  await book.close(deadLettersOf(server), report);
  for (const { sequence, reason, attempts } of book.letters.values()) {
    const what = `dead letter ${sequence} after ${attempts} attempts, ${DeadLetterReason[reason]}`;
    if (journal.isSurelyDone(sequence)) report.violation("otherwise wrong", `${what}: it was acknowledged`);
    if (reason === DeadLetterReason.MAX_ATTEMPTS && attempts === maxAttempts) continue;
    if (reason === DeadLetterReason.REJECTED && journal.wasRejected(sequence)) continue;
    report.violation("otherwise wrong", `${what}: there are ${maxAttempts}, and nobody rejected it`);
  }
  for (let sequence = 1n; sequence <= BigInt(sent); sequence++) {
    const hasEnded = journal.isDone(sequence) && !isPoison(String(sequence));
    if (hasEnded || book.letters.has(sequence)) continue;
    report.violation("lost", `signal ${sequence} is neither done nor parked`);
  }
  report.figure(`${book.letters.size} dead letters, of which ${book.droppedCount} had to go for newer ones`);
}

function deadLettersOf(server: KillableServer): ListPage {
  return (pageToken) => settledCall(server, ({ signals }) => signals.listDeadLetters({ coordinationId, pageToken }));
}

/** Puts back what can be put back, and waits until it is done as well. */
async function checkRedriven({ server, journal, book, report }: Checked, sent: number): Promise<void> {
  for (const sequence of book.letters.keys()) if (!book.hasGone(sequence)) journal.redriven(sequence);
  const { redrivenCount } = await settledCall(server, async ({ signals }) =>
    signals.redriveDeadLetters({ coordinationId, subscription }),
  );
  if (Number(redrivenCount) !== book.keptCount)
    report.violation("otherwise wrong", `${redrivenCount} of ${book.keptCount} dead letters were put back`);
  await untilSettled(server, report);
  for (let sequence = 1n; sequence <= BigInt(sent); sequence++) {
    report.signalsChecked += 1;
    const hasEnded = journal.isDone(sequence) || book.hasGone(sequence);
    if (!hasEnded) report.violation("lost", `signal ${sequence} was never done`);
  }
}

async function untilSettled(server: KillableServer, report: FaultReport): Promise<void> {
  const deadlineMs = performance.now() + settleTimeoutMs;
  for (;;) {
    const { subscriptions } = await settledCall(server, ({ signals }) => signals.listSubscriptions({ coordinationId }));
    const [found] = subscriptions;
    if (found?.outstandingCount === 0n && found.deliveryLag === 0n) return;
    if (performance.now() > deadlineMs) {
      const rest = `${found?.outstandingCount} outstanding, ${found?.deliveryLag} not looked at`;
      return report.violation("lost", `after ${settleTimeoutMs} ms there are ${rest}`);
    }
    await nextMoment();
  }
}
