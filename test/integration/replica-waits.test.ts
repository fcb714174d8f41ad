import { AgentState } from "@coordination-signals/proto/coordination/v1/agent";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { CoordinationError } from "../../server/src/model/coordination-error.js";
import { prepareSignal } from "../../server/src/model/prepare-signals.js";
import { agentState, isLiveAgent } from "../../server/src/registry/agent-state.js";
import type { CoordinatorUnderTest } from "../support/coordinator-under-test.js";
import { DatabaseProxy } from "../support/database-proxy.js";
import { eventually } from "../support/eventually.js";
import { messageRequest } from "../support/log-entries.js";
import { ManualClock } from "../support/manual-clock.js";
import { openReplicas } from "../support/replicas-under-test.js";
import { spawnServer } from "../support/spawned-server.js";
import { grpc } from "../support/test-client.js";
import { openTestPostgres, type TestPostgres } from "../support/test-postgres.js";
import { completed, dependencyOf, messageFrom, type WaitParts, waitRequest } from "../support/wait-requests.js";
import { model, openWaitAs } from "../support/waiting.js";

const postgres = await openTestPostgres();
afterAll(async () => postgres?.[Symbol.asyncDispose]());

/** A wait on a replica, and what becomes of it. */
interface ReplicaWait {
  readonly outcome: Promise<string>;
  readonly abort: AbortController;
}

/** Begins to wait on one replica and resolves when all of them see it. */
async function openOn(
  replica: CoordinatorUnderTest,
  others: readonly CoordinatorUnderTest[],
  parts: WaitParts,
): Promise<ReplicaWait> {
  const counts = await Promise.all(others.map(openWaits));
  const wait = waitOn(replica, parts);
  await eventually(async () => {
    for (const [index, other] of others.entries()) expect(await openWaits(other)).toBe((counts[index] ?? 0) + 1);
  });
  return wait;
}

/** Begins to wait on one replica. */
function waitOn({ coordinator }: CoordinatorUnderTest, parts: WaitParts): ReplicaWait {
  const abort = new AbortController();
  const outcome = coordinator.waits.waitFor(waitRequest(parts), abort.signal).then(
    (states) => states.map((state) => (state.is === "satisfied" ? state.sequence : 0n)).join(" "),
    (error: unknown) =>
      error instanceof CoordinationError ? `${error.reason} ${error.metadata["path"] ?? ""}` : String(error),
  );
  return { outcome, abort };
}

async function openWaits({ coordinator }: CoordinatorUnderTest): Promise<number> {
  const { graph } = await coordinator.reports.waitGraph("c").catch(() => ({ graph: { waits: [] } }));
  return graph.waits.length;
}

/** Waits in the store, also of servers that are gone. */
function storedWaits({ coordinator }: CoordinatorUnderTest): Promise<number> {
  return coordinator.look("c", ({ session }) => session.waits.size);
}

function register({ coordinator }: CoordinatorUnderTest, agentId: string, leaseMs = 60_000) {
  return coordinator.agents.register("c", { agentId, capabilities: [], provides: [], metadata: {}, leaseMs });
}

async function states({ coordinator }: CoordinatorUnderTest): Promise<Record<string, string | undefined>> {
  const { agents } = await coordinator.reports.waitGraph("c");
  return Object.fromEntries(agents.map((view) => [view.record.agentId, AgentState[agentState(view)]]));
}

const resolved = (dependencyId: string) =>
  ({ case: "dependencyResolved", value: { dependencyType: "d", dependencyId } }) as const;

(postgres === undefined ? describe.skip : describe)("waits on servers that share a store", () => {
  let database: TestPostgres;
  let url: string;
  beforeAll(() => {
    if (postgres === undefined) throw new Error("these tests are skipped without PostgreSQL");
    database = postgres;
  });
  beforeEach(async () => {
    url = await database.createDatabase();
  });

  test("are woken by what is sent on another server", async () => {
    await using servers = await openReplicas(url, 2);
    const [a, b] = [servers.at(0), servers.at(1)];
    await a.send();
    const conditions = [dependencyOf("d", "X"), messageFrom("go"), completed("worker")];
    const wait = await openOn(a, [b], { agentId: "w", conditions });
    await b.send({ event: resolved("X") });
    await b.send({ event: { case: "interAgentMessage", value: { messageType: "go", message: "" } } });
    await b.send({ senderAgentId: "worker", event: { case: "agentCompleted", value: {} } });
    expect(await wait.outcome).toBe("2 3 4");
    await eventually(async () => expect(await openWaits(b)).toBe(0));
  });

  test("leave their agents and those behind them unstalled everywhere when they end", async () => {
    const clock = new ManualClock();
    // All of it within the 20 s after which servers count as gone that the clock leaves behind.
    await using servers = await openReplicas(url, 2, { clock, busyStallMs: 5_000, waitingStallMs: 10_000 });
    const [a, b] = [servers.at(0), servers.at(1)];
    for (const agentId of ["parser", "generator", "runner"]) await register(a, agentId);
    const parsed = await openOn(a, [b], { agentId: "generator", conditions: [dependencyOf("d", "X", ["parser"])] });
    const made = await openOn(b, [a], { agentId: "runner", conditions: [dependencyOf("d", "Y", ["generator"])] });
    for (let step = 1; step <= 4; step++) {
      clock.advance(4_000);
      await a.send({ senderAgentId: "parser" });
    }
    expect(await states(b)).toEqual({ parser: "READY", generator: "WAITING", runner: "WAITING" });
    await a.send({ senderAgentId: "parser", event: resolved("X") });
    expect(await parsed.outcome).toBe("5");
    await eventually(async () => expect(await openWaits(b)).toBe(1));
    expect(await states(b)).toEqual({ parser: "READY", generator: "READY", runner: "WAITING" });
    made.abort.abort();
    await made.outcome;
  });

  test("keep the short leases of their agents for every server, as open subscriptions do, all in one commit", async () => {
    await using servers = await openReplicas(url, 2);
    const [a, b] = [servers.at(0), servers.at(1)];
    const agentIds = ["waiter", "reader", "other reader"];
    const leaseMs = 4_000;
    for (const agentId of agentIds) await register(a, agentId, leaseMs);
    const wait = await openOn(a, [b], { agentId: "waiter", conditions: [completed("nobody")] });
    for (const agentId of agentIds.slice(1)) await a.subscribe({ agentId }).until("subscribed");
    const looks = () => Promise.all(agentIds.map((agentId) => b.coordinator.agents.get("c", agentId)));
    const startMs = Math.max(...(await looks()).map(({ record }) => record.lastHeartbeatMs));
    const gone = new Set<string>();
    await eventually(async () => {
      for (const view of await looks()) {
        if (!isLiveAgent(view)) gone.add(view.record.agentId);
        expect(view.record.lastHeartbeatMs).toBeGreaterThan(startMs + leaseMs);
      }
    });
    expect(gone).toEqual(new Set());
    const heardMs = await b.coordinator.look("c", ({ session }) =>
      agentIds.map((agentId) => session.agent(agentId)?.lastHeartbeatMs),
    );
    expect(new Set(heardMs).size).toBe(1);
    wait.abort.abort();
    await wait.outcome;
  });

  test("are refused when they close a loop with waits on another server", async () => {
    await using servers = await openReplicas(url, 2);
    const [a, b] = [servers.at(0), servers.at(1)];
    await register(a, "x");
    await register(b, "y");
    const first = await openOn(a, [b], { agentId: "x", conditions: [completed("y")] });
    const second = await openOn(a, [], { agentId: "x", conditions: [messageFrom("go", ["y"])] });
    const refused = b.coordinator.waits.waitFor(
      waitRequest({ agentId: "y", conditions: [completed("x")] }),
      new AbortController().signal,
    );
    await expect(refused).rejects.toMatchObject({ reason: "DEADLOCK", metadata: { path: "y -> x -> y" } });
    first.abort.abort();
    second.abort.abort();
    await Promise.all([first.outcome, second.outcome]);
  });

  test("that were answered hold up nobody who begins to wait on another server", async () => {
    await using servers = await openReplicas(url, 2);
    const [a, b] = [servers.at(0), servers.at(1)];
    await a.send();
    for (let round = 1; round <= 30; round++) {
      const [x, y] = [`x${round}`, `y${round}`];
      const first = waitOn(a, { agentId: x, conditions: [completed(y)], timeoutMs: 10 });
      expect(await first.outcome).toBe("WAIT_TIMEOUT ");
      expect(await storedWaits(b)).toBe(0);
      const second = waitOn(b, { agentId: y, conditions: [completed(x)], timeoutMs: 10 });
      expect(await second.outcome).toBe("WAIT_TIMEOUT ");
    }
  });

  test("whose time is over hold up nobody, even where their end could not be stored", async () => {
    await using proxy = await DatabaseProxy.start(url);
    await using servers = await openReplicas(url, 1);
    await using away = await openReplicas(proxy.url, 1);
    const [a, b] = [away.at(0), servers.at(0)];
    await a.send();
    const first = await openOn(a, [b], { agentId: "x", conditions: [completed("y")], timeoutMs: 1_000 });
    proxy.cut();
    expect(await first.outcome).toBe("WAIT_TIMEOUT ");
    expect(await storedWaits(b)).toBe(1);
    expect(await openWaits(b)).toBe(0);
    const second = waitOn(b, { agentId: "y", conditions: [completed("x")], timeoutMs: 10 });
    expect(await second.outcome).toBe("WAIT_TIMEOUT ");
    proxy.heal();
  });

  test("that close one loop from two servers at the same time: one is refused, never both, never none", async () => {
    await using servers = await openReplicas(url, 2);
    const [a, b] = [servers.at(0), servers.at(1)];
    await a.send();
    for (let round = 1; round <= 10; round++) {
      const [x, y] = [`x${round}`, `y${round}`];
      const waits = [
        waitOn(a, { agentId: x, conditions: [completed(y)] }),
        waitOn(b, { agentId: y, conditions: [completed(x)] }),
      ];
      const refused = await Promise.race(waits.map(({ outcome }) => outcome));
      expect([`DEADLOCK ${x} -> ${y} -> ${x}`, `DEADLOCK ${y} -> ${x} -> ${y}`]).toContain(refused);
      const winner = refused.startsWith(`DEADLOCK ${x}`) ? y : x;
      await (winner === x ? b : a).send({ senderAgentId: y, event: { case: "agentCompleted", value: {} } });
      await a.send({ senderAgentId: x, event: { case: "agentCompleted", value: {} } });
      const outcomes = await Promise.all(waits.map(({ outcome }) => outcome));
      expect(outcomes.filter((outcome) => outcome.startsWith("DEADLOCK"))).toEqual([refused]);
    }
  });

  test("end with DEADLOCK, the youngest of the loop first, when another server sees the last escape complete", async () => {
    await using servers = await openReplicas(url, 2);
    const [a, b] = [servers.at(0), servers.at(1)];
    await register(a, "x");
    await register(b, "y");
    await register(b, "escape");
    const older = await openOn(b, [a], { agentId: "x", conditions: [dependencyOf("d", "X", ["y", "escape"])] });
    const younger = await openOn(a, [b], { agentId: "y", conditions: [completed("x")] });
    await b.send({ senderAgentId: "escape", event: { case: "agentCompleted", value: {} } });
    expect(await younger.outcome).toBe("DEADLOCK y -> x -> y");
    await eventually(async () => expect(await openWaits(b)).toBe(1));
    older.abort.abort();
    await older.outcome;
  });

  test("that are older than their coordination are seen everywhere once it begins", async () => {
    await using servers = await openReplicas(url, 3);
    const [a, b, c] = [servers.at(0), servers.at(1), servers.at(2)];
    const waits = [
      await openOn(a, [], { agentId: "x", conditions: [dependencyOf("d", "X")] }),
      await openOn(b, [], { agentId: "y", conditions: [dependencyOf("d", "X")] }),
    ];
    expect(await openWaits(c)).toBe(0);
    await c.send();
    await eventually(async () => {
      for (const replica of servers.replicas) expect(await openWaits(replica)).toBe(2);
    });
    await c.send({ event: resolved("X") });
    expect(await Promise.all(waits.map(({ outcome }) => outcome))).toEqual(["2", "2"]);
  });

  test("of a server that was killed vanish when it has not been heard of for a while", async () => {
    const clock = new ManualClock();
    clock.stepTo(Date.now());
    await using servers = await openReplicas(url, 1, { clock });
    const replica = servers.at(0);
    await using killed = await spawnServer(["--store", url]);
    using client = grpc.connect(killed.url);
    await replica.send();
    await openWaitAs(client, "c", { agentId: "x", conditions: [model("never")] });
    await eventually(async () => expect(await openWaits(replica)).toBe(1));
    killed.kill("SIGKILL");
    await killed.exited;
    expect(await openWaits(replica)).toBe(1);
    clock.advance(120_000);
    expect(await openWaits(replica)).toBe(0);
    const next = await openOn(replica, [], { agentId: "y", conditions: [completed("x")] });
    await eventually(async () => {
      expect(await storedWaits(replica)).toBe(1);
    });
    next.abort.abort();
    await next.outcome;
  });

  test("for a reply are seen on another server, and answered by what is sent there", async () => {
    await using servers = await openReplicas(url, 2);
    const [a, b] = [servers.at(0), servers.at(1)];
    await register(b, "answerer");
    const asked = prepareSignal(messageRequest({ requestId: "r" }));
    const { signal: abort } = new AbortController();
    const reply = a.coordinator.waits.request(asked, { timeoutMs: 60_000, waitMs: 60_000, abort });
    const correlationId = await eventually(async () => {
      const { entries } = await b.history();
      expect(entries).toHaveLength(1);
      return entries[0]?.signal.signalId ?? "";
    });
    await eventually(async () => expect(await openWaits(b)).toBe(1));
    await b.send({ senderAgentId: "answerer", correlationId });
    expect((await reply).reply.sequence).toBe(2n);
    await eventually(async () => expect([await openWaits(b), await storedWaits(a)]).toEqual([0, 0]));
  });
});
