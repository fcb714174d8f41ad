/** What a coordinator can be asked, as commands that are given to it and to the model at once. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { CoordinationError } from "../../../server/src/model/coordination-error.js";
import { prepareSignal } from "../../../server/src/model/prepare-signals.js";
import { compileSignalFilter } from "../../../server/src/model/signal-filter.js";
import { decodeStateChanges } from "../../../server/src/state/state-change.js";
import type { CoordinatorUnderTest } from "../coordinator-under-test.js";
import { messageRequest, type RequestParts } from "../log-entries.js";
import { checkSame } from "../log-violation.js";
import { agentName, CoordinationModel, type ModelAnswer, type ModelSignal } from "./coordination-model.js";

/** Signals that a coordination of the model keeps: fewer than the trimmer's least step, so that steps are taken. */
export const modelRetentionSignals = 40;
/** How many coordinations stay in memory unused: as many as a server keeps, or none, so that each is loaded for every command. */
export const idleCoordinations = fc.constantFrom(undefined, 0);
const floodSignals = 300;
const names = ["c", "c1"] as const;

/** A coordinator for one run, which can be restarted on its store where that lasts. */
export interface StateSubject {
  readonly current: CoordinatorUnderTest;
  readonly restart: (() => Promise<unknown>) | undefined;
}

type Model = Map<string, CoordinationModel>;
type StateCommand = fc.AsyncCommand<Model, StateSubject>;
type Run = (id: string, model: Model, subject: StateSubject) => Promise<void>;

/** Runs commands on a coordinator and on the model, and compares everything at the end. Returns the signals compared. */
export async function runStateCommands(subject: StateSubject, commands: Iterable<StateCommand>): Promise<number> {
  const model: Model = new Map();
  await fc.asyncModelRun(() => ({ model, real: subject }), commands);
  let checked = 0;
  for (const id of names) checked += await checkState(subject, id, model.get(id));
  assert.deepEqual(subject.current.fatals, []);
  assert.deepEqual(subject.current.backgroundErrors, []);
  return checked;
}

const sent = fc.record({
  event: fc.constantFrom("resolve" as const, "initialize" as const, "complete" as const, "message" as const),
  subject: fc.nat({ max: 3 }),
  requestId: fc.constantFrom("", "", "1", "2"),
  // How far from the head a signal expects it to be.
  expects: fc.option(fc.constantFrom(0, 0, 1), { nil: undefined, freq: 2 }),
});
type Sent = ModelSignal & { readonly expects: number | undefined };
const batch = fc.record({ signals: fc.array(sent, { minLength: 1, maxLength: 6 }), isAtomic: fc.boolean() });
const agent = fc.nat({ max: 4 }).map(agentName);

/** Up to so many commands, most of them sends. */
export function stateCommands(maxCommands: number) {
  const send = commandsOf("send", batch, (plan) => (id, model, subject) => runSend(id, model, { subject, ...plan }));
  const rollBack = commandsOf(
    "rollBack",
    fc.nat({ max: 45 }),
    (back) => (id, model, subject) => runRollBack(id, model, { subject, back }),
  );
  return fc.commands(
    [
      // As often as they stand here.
      send,
      send,
      send,
      send,
      send,
      send,
      commandsOf(
        "flood",
        fc.constant(floodSignals),
        (count) => (id, model, subject) => runFlood(id, model, { subject, count }),
      ),
      rollBack,
      rollBack,
      commandsOf("register", agent, (name) => (id, model, subject) => runRegister(id, model, { subject, name })),
      commandsOf("deregister", agent, (name) => (id, model, subject) => runDeregister(id, model, { subject, name })),
      commandsOf("heartbeat", agent, (name) => (id, model, subject) => runHeartbeat(id, model, { subject, name })),
      commandsOf("close", fc.constant(""), () => runClose),
      commandsOf("delete", fc.constant(""), () => runDelete),
      commandsOf("snapshot", fc.constant(""), () => runSnapshot),
      commandsOf("look", fc.constant(""), () => async (id, model, subject) => {
        await checkState(subject, id, model.get(id));
      }),
      commandsOf("restart", fc.constant(""), () => async (_id, _model, subject) => {
        await subject.restart?.();
      }),
    ],
    { maxCommands, size: "max" },
  );
}

function commandsOf<Plan>(
  text: string,
  plans: fc.Arbitrary<Plan>,
  run: (plan: Plan) => Run,
): fc.Arbitrary<StateCommand> {
  return fc.tuple(fc.constantFrom(...names), plans).map(([id, plan]) => ({
    check: () => true,
    run: (model, subject) => run(plan)(id, model, subject),
    toString: () => `${text}(${id}, ${fc.stringify(plan)})`,
  }));
}

interface On {
  readonly subject: StateSubject;
}

async function runSend(
  id: string,
  model: Model,
  { subject, signals, isAtomic }: On & { readonly signals: readonly Sent[]; readonly isAtomic: boolean },
): Promise<void> {
  const before = model.get(id) ?? new CoordinationModel(modelRetentionSignals);
  const now = before.copy();
  const { head } = before;
  const prepared = signals.map((each, index) => prepareSignal(messageRequest(requestOf(id, each, head + index))));
  const known = signals.filter((each) => before.known(each) !== undefined).length;
  const answers = signals.map((each, index) =>
    now.send(each, each.expects === undefined ? undefined : head + index + each.expects),
  );
  const { coordinator } = subject.current;
  if (!isAtomic) {
    const outcomes = await coordinator.sendEach(prepared);
    assert.deepEqual(
      outcomes.map(({ stored, error }) => (stored ? Number(stored.sequence) : reasonOf(error))),
      answers,
    );
    if (now.head > 0) model.set(id, now);
    return;
  }
  const isPartlyKnown = known > 0 && known < signals.length;
  const refusal = isPartlyKnown ? "REQUEST_ID_REUSED" : answers.find((answer) => typeof answer === "string");
  const outcome = await answered(() => coordinator.sendAtomically(prepared));
  if (refusal !== undefined) return assert.equal(outcome, refusal);
  assert.ok(Array.isArray(outcome), `an atomic batch is refused with ${outcome}`);
  assert.deepEqual(
    outcome.map(({ sequence }) => Number(sequence)),
    answers,
  );
  model.set(id, now);
}

async function runFlood(id: string, model: Model, { subject, count }: On & { readonly count: number }): Promise<void> {
  const flood: Sent = { event: "message", subject: 0, requestId: "", expects: undefined };
  await runSend(id, model, { subject, signals: Array.from({ length: count }, () => flood), isAtomic: false });
}

async function runRollBack(id: string, model: Model, { subject, back }: On & { readonly back: number }): Promise<void> {
  const known = model.get(id);
  const to = Math.max(0, (known?.head ?? 0) - back);
  const request = { toSequence: BigInt(to), reason: "", requestedBy: "" };
  const result = await answered(() => subject.current.coordinator.rollBack(id, request));
  const answer: ModelAnswer = known?.rollBack(to) ?? "COORDINATION_NOT_FOUND";
  assert.equal(typeof result === "string" ? result : Number(result.removedSignals), answer);
}

async function runRegister(id: string, model: Model, { subject, name }: On & { readonly name: string }): Promise<void> {
  const registration = { agentId: name, capabilities: [], provides: [], metadata: {}, leaseMs: 60_000 };
  const known = model.get(id) ?? new CoordinationModel(modelRetentionSignals);
  const result = await answered(() => subject.current.coordinator.agents.register(id, registration));
  assert.equal(typeof result === "string" ? result : "", known.register(name));
  model.set(id, known);
}

async function runDeregister(
  id: string,
  model: Model,
  { subject, name }: On & { readonly name: string },
): Promise<void> {
  const result = await answered(() => subject.current.coordinator.agents.deregister(id, name));
  assert.equal(result ?? "", model.get(id)?.deregister(name) ?? "COORDINATION_NOT_FOUND");
}

async function runHeartbeat(
  id: string,
  model: Model,
  { subject, name }: On & { readonly name: string },
): Promise<void> {
  const result = await answered(() => subject.current.coordinator.agents.heartbeat(id, name, ""));
  const known = model.get(id);
  const expected = known?.agents.get(name)?.isRegistered === true ? "" : "AGENT_NOT_FOUND";
  assert.equal(typeof result === "string" ? result : "", known === undefined ? "COORDINATION_NOT_FOUND" : expected);
}

const runClose: Run = async (id, model, subject) => {
  const known = model.get(id);
  const result = await answered(() => subject.current.coordinator.closeCoordination(id, "done"));
  assert.equal(typeof result === "string" ? result : "", known === undefined ? "COORDINATION_NOT_FOUND" : "");
  if (known !== undefined) known.isClosed = true;
};

const runDelete: Run = async (id, model, subject) => {
  const result = await answered(() => subject.current.coordinator.deleteCoordination(id));
  assert.equal(result ?? "", model.delete(id) ? "" : "COORDINATION_NOT_FOUND");
};

const runSnapshot: Run = async (id, model, subject) => {
  const known = model.get(id);
  const snapshotId = String(known?.snapshots ?? 0).padStart(4, "0");
  const result = await answered(() =>
    subject.current.coordinator.createSnapshot(id, {
      snapshotId,
      requestedBy: "",
      label: "",
      make: (_session, header) => Buffer.from(String(header.headSequence)),
    }),
  );
  if (known === undefined) return assert.equal(result, "COORDINATION_NOT_FOUND");
  assert.equal(Buffer.from(result).toString(), String(known.head));
  known.snapshots += 1;
};

/** Compares all there is to see of a coordination. Returns the signals compared. */
async function checkState(
  { current }: StateSubject,
  id: string,
  known: CoordinationModel | undefined,
): Promise<number> {
  const { coordinator } = current;
  if (known === undefined) {
    assert.equal(await answered(() => coordinator.look(id, ({ header }) => header)), "COORDINATION_NOT_FOUND");
    return 0;
  }
  await coordinator.look(id, ({ session, header }) => {
    assert.equal(Number(header.headSequence), known.head);
    assert.equal(Number(header.oldestSequence), known.oldest);
    assert.equal(header.closeTimeMs !== undefined, known.isClosed);
    const agents = Array.from(session.agents.values(), ({ agentId, isRegistered, milestone, renewedAfter = "0" }) => [
      agentId,
      { isRegistered, milestone, renewedAfter: Number(renewedAfter) },
    ]);
    assert.deepEqual(Object.fromEntries(agents), Object.fromEntries(known.agents));
    const dependencies = Array.from(session.dependencies.values(), (each) => [
      each.dependencyId,
      Number(each.sequence),
    ]);
    assert.deepEqual(Object.fromEntries(dependencies), known.dependencies);
  });
  const expected = known.history.map(({ sequence }) => String(sequence));
  checkSame("oldest first", await pages(current, id, "oldestFirst"), expected);
  checkSame("newest first", await pages(current, id, "newestFirst"), [...expected].reverse());
  const snapshots = await coordinator.readJournal(id, { kind: "snapshot", limit: 1_000 });
  assert.equal(snapshots.length, known.snapshots);
  await checkAudit(current, id);
  return expected.length;
}

/** Every change follows the one before, and the last one made the revision that there is. */
async function checkAudit({ coordinator }: CoordinatorUnderTest, id: string): Promise<void> {
  const { revision, records } = await coordinator.look(id, async ({ header }) => ({
    revision: header.revision,
    records: await coordinator.readJournal(id, { kind: "audit", limit: 10_000 }),
  }));
  let before = 0n;
  for (const change of records.flatMap(({ value }) => decodeStateChanges(value))) {
    assert.equal(change.revisionBefore, before);
    before = change.revisionAfter;
  }
  // The history may be trimmed between the look at the header and the look at the audit.
  assert.ok(before >= revision, `the audit ends with revision ${before}, the state has ${revision}`);
}

const pageSignals = 7;

async function pages(
  { coordinator }: CoordinatorUnderTest,
  id: string,
  order: "oldestFirst" | "newestFirst",
): Promise<readonly string[]> {
  const read: string[] = [];
  let from: bigint | undefined;
  do {
    const page = await coordinator.readHistory(id, ({ oldestSequence, headSequence }) => ({
      order,
      fromSequence: from ?? (order === "oldestFirst" ? oldestSequence - 1n : headSequence + 1n),
      filter: compileSignalFilter(undefined),
      maxSignals: pageSignals,
    }));
    read.push(...page.entries.map(({ sequence }) => String(sequence)));
    from = page.nextFromSequence;
  } while (from !== undefined);
  return read;
}

async function answered<T>(run: () => Promise<T>): Promise<T | string> {
  try {
    return await run();
  } catch (error) {
    return reasonOf(error);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof CoordinationError) return error.reason;
  throw error;
}

function requestOf(coordinationId: string, { event, subject, requestId, expects }: Sent, head: number): RequestParts {
  const shared = {
    coordinationId,
    senderAgentId: agentName(subject),
    requestId,
    ...(expects !== undefined && { expectedSequence: BigInt(head + expects) }),
  };
  switch (event) {
    case "resolve": {
      const value = { dependencyType: "t", dependencyId: `d${subject}` };
      return { ...shared, event: { case: "dependencyResolved", value } };
    }
    case "initialize":
      return { ...shared, event: { case: "agentInitialized", value: { ready: true } } };
    case "complete":
      return { ...shared, event: { case: "agentCompleted", value: { resultSummary: "" } } };
    case "message":
      return shared;
  }
}
