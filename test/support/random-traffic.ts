/**
 * Random signals of one coordination, random readers of it, and what each reader was told: the material on which the
 * guarantees of a subscription are checked. Senders and readers run at the same time; readers leave and resume by their
 * cursor; at the end the coordination is closed, so that every reader ends after the last signal.
 */
import { type CoordinationSignal, Priority, SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import fc from "fast-check";
import type { DeliveryOrder } from "../../server/src/delivery/reading-order.js";
import type { TailItem } from "../../server/src/delivery/tail-item.js";
import { type Cursor, decodeCursor } from "../../server/src/model/cursor.js";
import { CoordinatorUnderTest, type FilterParts } from "./coordinator-under-test.js";
import type { RequestParts } from "./log-entries.js";

const AGENTS = ["parser", "generator", "runner"] as const;

/** Whose eyes a reader has, and what it asks for. */
export interface View {
  /** Empty for an observer. */
  readonly agentId: string;
  readonly includeOwn: boolean;
  readonly signalTypes: readonly SignalType[];
  readonly senderAgentIds: readonly string[];
  readonly minPriority: Priority;
}

/** A reader's life. */
interface ReaderPlan {
  readonly view: View;
  /** Default "sequence". */
  readonly order?: DeliveryOrder;
  readonly start: "earliest" | "latest";
  /** The burst of sends before which it opens. */
  readonly opensAt: number;
  /** How many items it takes before it leaves and resumes by its cursor; at last it stays to the end. */
  readonly sittings: readonly number[];
}

/** What happens in one coordination. */
export interface Traffic {
  /** Sends of one burst are under way at the same time; each is a batch. */
  readonly bursts: readonly (readonly (readonly RequestParts[])[])[];
  readonly readers: readonly ReaderPlan[];
}

/** What one reader was told, one list for each time it sat down. */
export interface Transcript {
  readonly view: View;
  readonly sittings: readonly (readonly TailItem[])[];
}

/** What came of some traffic. */
export interface Outcome {
  readonly subject: CoordinatorUnderTest;
  /** Everything that was stored, in the order of the log. */
  readonly log: readonly CoordinationSignal[];
  readonly transcripts: readonly Transcript[];
}

/** A signal of one of three agents. */
export const signal: fc.Arbitrary<RequestParts> = fc.record({
  senderAgentId: fc.constantFrom(...AGENTS),
  recipientAgentIds: fc.uniqueArray(fc.constantFrom(...AGENTS), { maxLength: 2 }),
  priority: fc.constantFrom(Priority.LOW, Priority.NORMAL, Priority.HIGH),
  event: fc.constantFrom<NonNullable<RequestParts["event"]>>(
    { case: "interAgentMessage", value: { messageType: "note" } },
    { case: "agentCompleted", value: { resultSummary: "done" } },
    { case: "dependencyResolved", value: { dependencyType: "model", dependencyId: "UserModel" } },
  ),
});

/** The eyes of an observer or of one of the agents. */
export const view: fc.Arbitrary<View> = fc.record({
  agentId: fc.constantFrom("", ...AGENTS),
  includeOwn: fc.boolean(),
  signalTypes: fc.constantFrom(
    [],
    [SignalType.AGENT_COMPLETED],
    [SignalType.AGENT_COMPLETED, SignalType.DEPENDENCY_RESOLVED],
  ),
  senderAgentIds: fc.constantFrom([], ["parser"], ["parser", "runner"]),
  minPriority: fc.constantFrom(Priority.UNSPECIFIED, Priority.NORMAL, Priority.HIGH),
});

const maxBursts = 6;

/** Up to 6 bursts of up to 5 batches of up to 8 signals, and up to 5 readers. */
export const traffic: fc.Arbitrary<Traffic> = fc.record({
  bursts: fc.array(fc.array(fc.array(signal, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 5 }), {
    minLength: 1,
    maxLength: maxBursts,
  }),
  readers: fc.array(
    fc.record({
      view,
      start: fc.constantFrom("earliest" as const, "latest" as const),
      opensAt: fc.nat({ max: maxBursts - 1 }),
      sittings: fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 5 },
  ),
});

/** How many random plans each property is tried on. */
const runs = 50;

/** Lets random traffic happen, again and again, and hands what came of it to `check`. */
export async function assertForTraffic(
  check: (outcome: Outcome) => void | Promise<void>,
  plans: fc.Arbitrary<Traffic> = traffic,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(plans, (plan) => withTraffic(plan, check)),
    { numRuns: runs },
  );
}

async function withTraffic(
  { bursts, readers }: Traffic,
  check: (outcome: Outcome) => void | Promise<void>,
): Promise<void> {
  await using subject = new CoordinatorUnderTest({ recipientValidation: "off" });
  const reading: Promise<Transcript>[] = [];
  for (const [index, burst] of bursts.entries()) {
    for (const plan of readers) {
      if (Math.min(plan.opensAt, bursts.length - 1) === index) reading.push(readThrough(subject, plan));
    }
    await Promise.all(burst.map((batch) => subject.sendEach(batch)));
  }
  await subject.coordinator.closeCoordination("c", "");
  const transcripts = await Promise.all(reading);
  const log = await wholeLog(subject);
  const sent = bursts.flat(2).length;
  if (log.length !== sent) throw new Error(`${sent} signals were sent, the history has ${log.length}`);
  await check({ subject, log, transcripts });
}

async function readThrough(subject: CoordinatorUnderTest, plan: ReaderPlan): Promise<Transcript> {
  const sittings: (readonly TailItem[])[] = [];
  let cursor: string | undefined;
  for (const count of [...plan.sittings, Number.POSITIVE_INFINITY]) {
    const reader = subject.subscribe({
      ...subscriptionOf(plan.view),
      order: plan.order ?? "sequence",
      start: cursor === undefined ? { at: plan.start } : { at: "cursor", cursor: decodeCursor(cursor) },
    });
    while (reader.items.length < count && (await reader.next()) !== undefined);
    await reader.leave();
    sittings.push(reader.items);
    cursor = reader.cursor;
  }
  return { view: plan.view, sittings };
}

/** Reads from a cursor to the end, with the eyes of a view. */
export async function readFrom(
  subject: CoordinatorUnderTest,
  from: View,
  cursor: Cursor,
): Promise<readonly TailItem[]> {
  const order = cursor.levelSequences === undefined ? "sequence" : "priority";
  return await subject.subscribe({ ...subscriptionOf(from), order, start: { at: "cursor", cursor } }).untilEnd();
}

/** What a reader with the eyes of a view asks for. */
export function subscriptionOf({ agentId, includeOwn, signalTypes, senderAgentIds, minPriority }: View) {
  const filter: FilterParts = { signalTypes: [...signalTypes], senderAgentIds: [...senderAgentIds], minPriority };
  return { agentId, includeOwn, filter };
}

async function wholeLog(subject: CoordinatorUnderTest): Promise<readonly CoordinationSignal[]> {
  const log: CoordinationSignal[] = [];
  for (;;) {
    const { entries } = await subject.history({ fromSequence: log.at(-1)?.sequence });
    if (entries.length === 0) return log;
    log.push(...entries.map((entry) => entry.signal));
  }
}

/** What a view is meant to be shown, by the words of the contract. */
function concernsView(shown: CoordinationSignal, { agentId, includeOwn, ...filter }: View): boolean {
  const isNamed = shown.recipientAgentIds.includes(agentId);
  const isOwn = shown.senderAgentId === agentId;
  const isForReader =
    agentId === "" || isNamed || (shown.recipientAgentIds.length === 0 && !isOwn) || (isOwn && includeOwn);
  const types = filter.signalTypes.map((type) => SignalType[type]);
  return (
    isForReader &&
    (types.length === 0 || types.includes(typeNameOf(shown))) &&
    (filter.senderAgentIds.length === 0 || filter.senderAgentIds.includes(shown.senderAgentId)) &&
    (shown.priority || Priority.NORMAL) >= filter.minPriority
  );
}

function typeNameOf({ event }: CoordinationSignal): string {
  return (event.case ?? "").replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

/** The signals in items. */
export function signalsOf(items: readonly TailItem[]): readonly CoordinationSignal[] {
  return items.flatMap((item) => (item.kind === "batch" ? item.entries.map((entry) => entry.signal) : []));
}

/** The sequences of the signals in items. */
export function sequencesOf(items: readonly TailItem[]): readonly bigint[] {
  return signalsOf(items).map(({ sequence }) => sequence);
}

/** Where an item leaves the reader. */
export function positionOf({ cursor }: TailItem): bigint {
  return decodeCursor(cursor).sequence;
}

/** The sequences that a view is meant to be shown between two positions. */
export function expectedSequences(
  { log }: Pick<Outcome, "log">,
  of: View,
  range: { readonly after: bigint; readonly through?: bigint },
): readonly bigint[] {
  const through = range.through ?? log.at(-1)?.sequence ?? 0n;
  return log
    .filter((each) => each.sequence > range.after && each.sequence <= through && concernsView(each, of))
    .map(({ sequence }) => sequence);
}
