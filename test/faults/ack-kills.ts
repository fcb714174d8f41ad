/*
 * Kills the consumers of one subscription and their server again and again while they work, and compares what they were handed
 * with what the server says of it: every signal is done or a dead letter, nobody had one at the same time as somebody else, and what
 * cannot be done is parked after exactly so many attempts. At the end the dead letters are put back, and everything is done.
 */
import { setMaxListeners } from "node:events";
import { join } from "node:path";
import { DeadLetterReason } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { grpc } from "../support/test-client.js";
import { openTestPostgres } from "../support/test-postgres.js";
import { FaultConsumer } from "./clients/fault-consumer.js";
import { isUnknownOutcome } from "./clients/unknown-outcome.js";
import { type FaultRun, runFaultProgram } from "./harness/fault-program.js";
import { builtServer, KillableServer, plantedServer } from "./harness/killable-server.js";
import { skipProgram } from "./harness/skipped.js";
import { withTemporaryDirectory } from "./harness/temporary-directory.js";
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
const settleTimeoutMs = 180_000;
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
  const killing = killAgainAndAgain(run, { server, consumers, journal });
  const sent = await sendAll(server, run.sizes.kills * signalsPerKill, () => report.cycles < run.sizes.kills);
  await killing;
  const gone = await checkParked(server, { sent, journal, report: run.report });
  for (const consumer of consumers) consumer.isDiligent = true;
  await redriveAll(server, journal);
  await untilSettled(server, report);
  for (let sequence = 1n; sequence <= BigInt(sent); sequence++) {
    report.signalsChecked += 1;
    const hasEnded = journal.isDone(sequence) || gone.has(sequence);
    if (!hasEnded) report.violation("lost", `signal ${sequence} was never done`);
  }
  ending.abort();
  await Promise.all(working);
  for (const consumer of consumers) consumer.kill();
  report.figure(`${journal.deliveryCount.toLocaleString("en")} deliveries of ${sent.toLocaleString("en")} signals`);
  report.figure(`longest start ${Math.round(Math.max(...server.startTimesMs))} ms`);
}

function isPoison(message: string): boolean {
  return Number(message) % poisonEvery === 0;
}

interface Killed {
  readonly server: KillableServer;
  readonly consumers: readonly FaultConsumer[];
  readonly journal: DeliveryJournal;
}

/** Each kill comes after a number of deliveries of chance, so that it falls anywhere in the work. */
async function killAgainAndAgain(run: FaultRun<"kills">, { server, consumers, journal }: Killed): Promise<void> {
  const moments = run.random.fork("moments");
  while (run.report.cycles < run.sizes.kills) {
    const killAt = journal.deliveryCount + moments.integer(1, 2 * signalsPerKill - 1);
    const deadlineMs = performance.now() + settleTimeoutMs;
    while (journal.deliveryCount < killAt) {
      if (performance.now() > deadlineMs) throw new Error(`nothing was delivered for ${settleTimeoutMs} ms`);
      await nextMoment();
    }
    run.report.cycles += 1;
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
    await settled(server, ({ signals }) =>
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

/**
 * Waits until all is settled; then every signal is done or a dead letter, and those are what they should be. Answers the signals
 * whose dead letters had to go for newer ones.
 */
async function checkParked(
  server: KillableServer,
  {
    sent,
    journal,
    report,
  }: { readonly sent: number; readonly journal: DeliveryJournal; readonly report: FaultRun["report"] },
): Promise<ReadonlySet<bigint>> {
  await untilSettled(server, report);
  const { letters, droppedCount } = await allDeadLetters(server);
  const parked = new Set(letters.map(({ sequence }) => sequence));
  for (const { sequence, reason, attempts } of letters) {
    const what = `dead letter ${sequence} after ${attempts} attempts, ${DeadLetterReason[reason]}`;
    if (journal.isSurelyDone(sequence)) report.violation("otherwise wrong", `${what}: it was acknowledged`);
    if (reason === DeadLetterReason.MAX_ATTEMPTS && attempts === maxAttempts) continue;
    if (reason === DeadLetterReason.REJECTED && journal.wasRejected(sequence)) continue;
    report.violation("otherwise wrong", `${what}: there are ${maxAttempts}, and nobody rejected it`);
  }
  const missing: bigint[] = [];
  for (let sequence = 1n; sequence <= BigInt(sent); sequence++) {
    const hasEnded = journal.isDone(sequence) && !isPoison(String(sequence));
    if (!hasEnded && !parked.has(sequence)) missing.push(sequence);
  }
  // Of many dead letters the oldest go, and are counted. Some of them were done, so that there may be more of them.
  if (BigInt(missing.length) > droppedCount) {
    for (const sequence of missing) report.violation("lost", `signal ${sequence} is neither done nor parked`);
  }
  report.figure(`${droppedCount} dead letters that had to go for newer ones`);
  report.figure(`${letters.length} dead letters`);
  return new Set(missing);
}

async function allDeadLetters(server: KillableServer) {
  const letters = [];
  let pageToken = "";
  for (;;) {
    const page = await settled(server, ({ signals }) => signals.listDeadLetters({ coordinationId, pageToken }));
    letters.push(...page.deadLetters);
    pageToken = page.nextPageToken;
    if (pageToken === "") return { letters, droppedCount: page.droppedCount };
  }
}

async function redriveAll(server: KillableServer, journal: DeliveryJournal): Promise<void> {
  const { letters } = await allDeadLetters(server);
  for (const { sequence } of letters) journal.redriven(sequence);
  await settled(server, ({ signals }) => signals.redriveDeadLetters({ coordinationId, subscription }));
}

async function untilSettled(server: KillableServer, report: FaultRun["report"]): Promise<void> {
  const deadlineMs = performance.now() + settleTimeoutMs;
  for (;;) {
    const { subscriptions } = await settled(server, ({ signals }) => signals.listSubscriptions({ coordinationId }));
    const [found] = subscriptions;
    if (found?.outstandingCount === 0n && found.deliveryLag === 0n) return;
    if (performance.now() > deadlineMs) {
      const rest = `${found?.outstandingCount} outstanding, ${found?.deliveryLag} not looked at`;
      return report.violation("lost", `after ${settleTimeoutMs} ms there are ${rest}`);
    }
    await nextMoment();
  }
}

/** Calls until an answer comes: whatever is called is safe to repeat. */
async function settled<T>(
  server: KillableServer,
  call: (client: ReturnType<typeof grpc.connect>) => Promise<T>,
): Promise<T> {
  const deadlineMs = performance.now() + settleTimeoutMs;
  for (;;) {
    await server.whenUp();
    using client = grpc.connect(server.url);
    try {
      return await call(client);
    } catch (error) {
      if (!isUnknownOutcome(error) || performance.now() > deadlineMs) throw error;
      await nextMoment();
    }
  }
}

/** Lets everybody else run; what is waited for comes with a message, this only looks. */
function nextMoment(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 2);
  });
}
