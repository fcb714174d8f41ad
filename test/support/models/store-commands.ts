/** Everything that a store can be asked, as commands that are given to a store and to the model at once. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import type { CommitPart, JournalKind, SignalStore } from "../../../server/src/store/signal-store.js";
import { type ArrayCoordination, ArrayStore, entriesIn, recordsIn, residentRecords } from "./array-store.js";
import { checkCoordination, checkEntries, checkHeaders, checkLoaded, checkRecords } from "./store-check.js";
import {
  coordinationNames,
  journalKeys,
  journalKinds,
  type PartPlan,
  partOf,
  partPlan,
  stalePart,
} from "./store-parts.js";
import type { StoreSubject } from "./store-subject.js";

/** What is expected of a store, and what it was before. */
class StoreModel {
  readonly isShared: boolean;
  readonly canReopen: boolean;
  readonly store = new ArrayStore();
  /** Every version of every coordination that was committed, the newest last. */
  readonly versions: ArrayCoordination[] = [];

  constructor({ isShared, reopen }: StoreSubject) {
    this.isShared = isShared;
    this.canReopen = reopen !== undefined;
  }
}

type StoreCommand = fc.AsyncCommand<StoreModel, StoreSubject>;

interface CommandParts {
  readonly text: string;
  readonly check?: (model: Readonly<StoreModel>) => boolean;
  readonly run: (model: StoreModel, subject: StoreSubject) => Promise<void>;
}

/** Runs commands on a store and on the model, and compares everything at the end. Returns the signals compared. */
export async function runStoreCommands(subject: StoreSubject, commands: Iterable<StoreCommand>): Promise<number> {
  const model = new StoreModel(subject);
  await fc.asyncModelRun(() => ({ model, real: subject }), commands);
  let checked = 0;
  for (const name of coordinationNames) {
    const id = subject.prefix + name;
    checked += await checkCoordination(subject.at(0), id, model.store.get(id));
  }
  if (!subject.isShared) assert.equal(subject.at(0).count(), model.store.headers.length);
  return checked;
}

const server = fc.nat({ max: 1 });
const name = fc.nat({ max: coordinationNames.length - 1 });
const sequence = fc.nat({ max: 40 });
const kind = fc.constantFrom(...journalKinds);
const key = fc.option(fc.constantFrom(...journalKeys), { nil: undefined, freq: 2 });

const commit = fc
  .record({
    server,
    plans: fc.uniqueArray(partPlan, { selector: (plan) => plan.name, minLength: 1, maxLength: 3 }),
    reads: fc.boolean(),
  })
  .map((plan) =>
    command({ text: `commit(${fc.stringify(plan)})`, run: (model, subject) => runCommit(model, subject, plan) }),
  );
const look = fc.record({ server, name }).map((plan) =>
  command({
    text: `look(${fc.stringify(plan)})`,
    run: async (model, subject) => {
      const id = idOf(subject, plan.name);
      await checkCoordination(subject.at(plan.server), id, model.store.get(id));
    },
  }),
);
const readLog = fc
  .record({
    server,
    name,
    from: sequence,
    maxEntries: fc.integer({ min: 1, max: 10 }),
    maxBytes: fc.constantFrom(1, 500, 100_000),
    direction: fc.constantFrom("forward" as const, "backward" as const),
  })
  .map((plan) =>
    command({ text: `readLog(${fc.stringify(plan)})`, run: (model, subject) => runReadLog(model, subject, plan) }),
  );
const readJournal = fc
  .record({ server, name, kind, fromKey: key, descending: fc.boolean(), limit: fc.integer({ min: 1, max: 4 }) })
  .map((plan) =>
    command({
      text: `readJournal(${fc.stringify(plan)})`,
      run: (model, subject) => runReadJournal(model, subject, plan),
    }),
  );
const list = fc
  .record({ server, after: fc.option(name, { nil: undefined }), limit: fc.integer({ min: 1, max: 5 }) })
  .map((plan) =>
    command({ text: `list(${fc.stringify(plan)})`, run: (model, subject) => runList(model, subject, plan) }),
  );
const reopen = server.map((which) =>
  command({
    text: `reopen(${which})`,
    check: ({ canReopen }) => canReopen,
    run: async (_model, subject) => subject.reopen?.(which),
  }),
);
const changes = fc.record({ server, name, age: fc.nat({ max: 6 }) }).map((plan) =>
  command({
    text: `changes(${fc.stringify(plan)})`,
    check: ({ isShared }) => isShared,
    run: (model, subject) => runChanges(model, subject, plan),
  }),
);

/** Up to so many commands, most of them commits. */
export function storeCommands(maxCommands: number) {
  return fc.commands([commit, commit, commit, look, readLog, readJournal, list, reopen, changes], {
    maxCommands,
    size: "max",
  });
}

function command({ text, check = () => true, run }: CommandParts): StoreCommand {
  return { check, run, toString: () => text };
}

function idOf(subject: StoreSubject, which: number): string {
  return subject.prefix + (coordinationNames[which] ?? "");
}

async function runCommit(
  model: StoreModel,
  subject: StoreSubject,
  {
    server: which,
    plans,
    reads,
  }: { readonly server: number; readonly plans: readonly PartPlan[]; readonly reads: boolean },
): Promise<void> {
  const store = subject.at(which);
  const parts: CommitPart[] = [];
  const conflicts = new Set<CommitPart>();
  for (const plan of plans) {
    const coordinationId = idOf(subject, plan.name);
    const part = partOf(plan, { coordinationId, before: model.store.get(coordinationId), newEpoch: randomUUID });
    if (part === undefined) continue;
    if (model.isShared && plan.staleness !== "none") {
      const stale = stalePart(part, plan.staleness);
      conflicts.add(stale);
      parts.push(stale);
    } else parts.push(part);
  }
  const before = new Map(parts.map((part) => [partId(part), model.store.get(partId(part))]));
  const committing = store.commit(parts);
  const reading = reads ? readMeanwhile(store, [...before.keys()]) : [];
  const outcomes = await committing;
  assert.deepEqual(
    outcomes,
    parts.map((part) => (conflicts.has(part) ? "conflict" : "committed")),
  );
  for (const part of parts) if (!conflicts.has(part)) model.store.commit(part);
  for (const coordinationId of before.keys()) {
    const now = model.store.get(coordinationId);
    if (now !== undefined) model.versions.push(now);
  }
  for (const check of reading) await check((id) => [before.get(id), model.store.get(id)]);
}

type Versions = (coordinationId: string) => readonly (ArrayCoordination | undefined)[];

/** Loads coordinations while a commit is on its way: each is as it was before, or as it is afterwards. */
function readMeanwhile(store: SignalStore, ids: readonly string[]): readonly ((versions: Versions) => Promise<void>)[] {
  return ids.map((id) => {
    const loading = store.load(id);
    return async (versions) => {
      const loaded = await loading;
      const commits = loaded?.header.commits;
      const match = versions(id).find(
        (each) => each?.header.commits === commits && each?.header.epoch === loaded?.header.epoch,
      );
      checkLoaded(loaded, match);
    };
  });
}

function partId(part: CommitPart): string {
  return part.action === "write" ? part.header.coordinationId : part.coordinationId;
}

interface LogPlan {
  readonly server: number;
  readonly name: number;
  readonly from: number;
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly direction: "forward" | "backward";
}

async function runReadLog(model: StoreModel, subject: StoreSubject, plan: LogPlan): Promise<void> {
  const store = subject.at(plan.server);
  const coordinationId = idOf(subject, plan.name);
  const found = model.store.get(coordinationId);
  const { maxEntries, maxBytes, direction } = plan;
  const epoch = found?.header.epoch ?? randomUUID();
  const range = { coordinationId, epoch, fromSequence: BigInt(plan.from), maxEntries, maxBytes };
  const read = direction === "forward" ? store.readForward(range) : store.readBackward(range);
  checkEntries(`read ${direction}`, await read, entriesIn(found, range, direction));
}

interface JournalPlan {
  readonly server: number;
  readonly name: number;
  readonly kind: JournalKind;
  readonly fromKey: string | undefined;
  readonly descending: boolean;
  readonly limit: number;
}

async function runReadJournal(model: StoreModel, subject: StoreSubject, plan: JournalPlan): Promise<void> {
  const { kind: ofKind, fromKey, descending, limit } = plan;
  const coordinationId = idOf(subject, plan.name);
  const found = model.store.get(coordinationId);
  const range = {
    coordinationId,
    epoch: found?.header.epoch ?? randomUUID(),
    kind: ofKind,
    fromKey,
    descending,
    limit,
  };
  checkRecords(ofKind, await subject.at(plan.server).readJournal(range), recordsIn(found, range));
}

async function runList(
  model: StoreModel,
  subject: StoreSubject,
  {
    server: which,
    after,
    limit,
  }: { readonly server: number; readonly after: number | undefined; readonly limit: number },
): Promise<void> {
  const { prefix } = subject;
  const afterId = after === undefined ? prefix : idOf(subject, after);
  const listed = await subject.at(which).list(afterId, limit);
  const expected = model.store.headers.filter(({ coordinationId }) => coordinationId > afterId);
  checkHeaders(
    listed.filter(({ coordinationId }) => coordinationId.startsWith(prefix)),
    expected.slice(0, limit),
  );
}

/** Asks what has changed since a version: what was known then and the changes are what there is now. */
async function runChanges(
  model: StoreModel,
  subject: StoreSubject,
  plan: { readonly server: number; readonly name: number; readonly age: number },
): Promise<void> {
  const { shared } = subject.at(plan.server);
  assert.ok(shared !== undefined);
  const coordinationId = idOf(subject, plan.name);
  const now = model.store.get(coordinationId);
  const known = model.versions.filter(({ header }) => header.coordinationId === coordinationId).at(-1 - plan.age);
  const version = known && { epoch: known.header.epoch, commits: known.header.commits };
  const asked = { coordinationId, version, headSequence: known?.header.headSequence ?? 0n };
  const isSame = now?.header.epoch === version?.epoch && now?.header.commits === version?.commits;
  assert.deepEqual(await shared.findChanged([asked]), isSame ? [] : [coordinationId]);
  const changed = await shared.changesSince(asked);
  if (isSame || changed === undefined) {
    assert.ok(
      isSame && changed === undefined,
      `changes of ${coordinationId} are ${changed === undefined ? "missed" : "invented"}`,
    );
    return;
  }
  assert.deepEqual(changed.header, now?.header);
  const isKnownLog = now !== undefined && now.header.epoch === known?.header.epoch;
  if (changed.entries !== undefined && now !== undefined) {
    checkEntries(
      "changes",
      changed.entries,
      now.entries.filter((entry) => entry.sequence > asked.headSequence),
    );
  }
  const base = changed.recordsAreAll || !isKnownLog || known === undefined ? [] : residentRecords(known);
  const kept = base.filter(
    (record) => !changed.records.some((each) => each.kind === record.kind && each.key === record.key),
  );
  const added = changed.records.flatMap((record) =>
    record.value === undefined ? [] : [{ ...record, value: record.value }],
  );
  const expected = now === undefined ? [] : residentRecords(now);
  const byName = (records: typeof kept) => [...records].sort((a, b) => (a.kind + a.key < b.kind + b.key ? -1 : 1));
  checkRecords("changes", byName([...kept, ...added]), byName([...expected]));
}
