import { setImmediate } from "node:timers/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { maxTimelineSignals } from "../../model/limits.js";
import type { LogEntry } from "../../model/log-entry.js";
import type { HiddenValues } from "../../model/transform/hidden-values.js";
import type { CompiledTransform } from "../../model/transform/signal-transform.js";
import { maxEndedWaits } from "../../state/ended-wait.js";
import type { LogReader } from "../../state/log-reader.js";
import type { SessionState } from "../../state/session-state.js";
import type { CoordinationHeader, SignalStore } from "../../store/signal-store.js";
import { shownConditions } from "../waits/shown-conditions.js";
import { ProviderFinder } from "../waits/wait-providers.js";
import type { WaitWorld } from "../waits/wait-world.js";
import type { Timeline } from "./timeline.js";
import { TimelineBuilder } from "./timeline-builder.js";
import { timelineWaits } from "./timeline-waits.js";

/** What to tell of a coordination. */
export interface TimelineRequest {
  readonly afterSequence: bigint;
  /** 0 for the head. */
  readonly untilSequence: bigint;
  readonly leastIdleMs: number;
}

/** What a timeline is read from. */
export interface TimelineEnvironment {
  readonly store: SignalStore;
  readonly reader: LogReader;
  /** What the server makes of every signal that it hands out; undefined leaves them as they are. */
  readonly outgoing: CompiledTransform | undefined;
  readonly hidden: HiddenValues;
}

/** A timeline, and what it leaves out. */
export interface ReadTimeline extends Timeline {
  /** Waits that have ended and are kept no more. */
  readonly forgottenWaits: number;
  /** Signals asked for that it does not tell of. */
  readonly leftOutSignals: bigint;
}

/** Makes a coordination's timeline, in one pass over what is asked for of its history, in parts between which others run. */
export async function readTimeline(
  { store, reader, outgoing, hidden }: TimelineEnvironment,
  {
    session,
    header,
    world,
  }: { readonly session: SessionState; readonly header: CoordinationHeader; readonly world: WaitWorld },
  request: TimelineRequest,
): Promise<ReadTimeline> {
  const { coordinationId, epoch, endedWaits, removedRanges } = header;
  const stored = await store.readJournal({ coordinationId, epoch, kind: "endedWait", limit: maxEndedWaits });
  const range = rangeOf(header, request);
  const providers = new ProviderFinder(world);
  const beginMs = request.afterSequence === 0n ? undefined : await acceptedAfterMs(reader, header, range.from);
  const { waiting, dropped } = session.endedWaits;
  const waits = timelineWaits({ stored, waiting, removedRanges }, { waits: world.waits, facts: world });
  const isWhole = range.through >= header.headSequence;
  const builder = new TimelineBuilder({
    waits: waits.filter(({ endTimeMs }) => beginMs === undefined || endTimeMs === undefined || endTimeMs >= beginMs),
    registered: isWhole ? registeredSince(session, beginMs ?? 0) : new Map(),
    expected: (condition) => providers.named(condition),
    leastIdleMs: request.leastIdleMs,
    horizonMs: (lastSignalMs) => (isWhole ? (header.closeTimeMs ?? world.nowMs) : (lastSignalMs ?? world.nowMs)),
  });
  for await (const part of partsOf(reader, header, range)) {
    for (const entry of part) {
      const turn = outgoing?.turns?.nextIfOver();
      if (turn !== undefined) await turn;
      builder.add(outgoing?.apply(entry) ?? entry);
    }
  }
  const timeline = builder.build();
  return {
    ...timeline,
    waits: timeline.waits.map((wait) => ({ ...wait, conditions: shownConditions(wait.conditions, hidden) })),
    forgottenWaits: dropped + Math.max(0, endedWaits - maxEndedWaits),
    leftOutSignals: range.leftOut,
  };
}

/** Sequences after `from` through `through`. */
interface Range {
  readonly from: bigint;
  readonly through: bigint;
  /** Sequences asked for before it. */
  readonly leftOut: bigint;
}

function rangeOf(
  { headSequence, oldestSequence }: CoordinationHeader,
  { afterSequence, untilSequence }: TimelineRequest,
): Range {
  const through = untilSequence === 0n || untilSequence > headSequence ? headSequence : untilSequence;
  let from = afterSequence;
  for (const bound of [oldestSequence - 1n, through - BigInt(maxTimelineSignals)]) if (bound > from) from = bound;
  if (from > through) from = through;
  return { from, through, leftOut: from > afterSequence ? from - afterSequence : 0n };
}

/** The registered agents, and since when; not longer than the timeline is. */
function registeredSince({ agents }: SessionState, beginMs: number): ReadonlyMap<string, number> {
  const since = new Map<string, number>();
  for (const { agentId, isRegistered, registerTimeMs } of agents.values()) {
    if (isRegistered) since.set(agentId, Math.max(registerTimeMs, beginMs));
  }
  return since;
}

/** When the first signal after a sequence was accepted. */
async function acceptedAfterMs(
  reader: LogReader,
  header: CoordinationHeader,
  fromSequence: bigint,
): Promise<number | undefined> {
  const [entry] = await reader.forward(header, { fromSequence, maxEntries: 1 });
  const timestamp = entry?.signal.timestamp;
  return timestamp && timestampMs(timestamp);
}

/** A long history must not keep everybody else from running: others do after every so many signals. */
const partSize = 250;

async function* partsOf(
  reader: LogReader,
  header: CoordinationHeader,
  { from, through }: Range,
): AsyncGenerator<readonly LogEntry[], void, undefined> {
  let position = from;
  while (position < through) {
    const entries = await reader.forward(header, { fromSequence: position });
    const last = entries.at(-1);
    if (last === undefined) return;
    for (let start = 0; start < entries.length; start += partSize) {
      yield entries.slice(start, start + partSize).filter(({ sequence }) => sequence <= through);
      await setImmediate();
    }
    position = last.sequence;
  }
}
