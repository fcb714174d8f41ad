/** The main job end to end: a server, four agents and the program that starts them, each a process of its own. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  type CoordinationClient,
  type CoordinationSession,
  type CoordinationSignal,
  createCoordinationClient,
  isOfTypes,
} from "@coordination-signals/client";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { digestsOf, packageJson, runDemo, startAgent, startDemo, stopStarted } from "../support/codegen-workflow.js";
import type { CommandResult } from "../support/run-command.js";
import { type SpawnedServer, spawnServer } from "../support/spawned-server.js";

const agents = ["contract-parser", "model-generator", "validator-generator", "test-runner"];
const backwards = agents.toReversed().join(",");

let folder: string;
let server: SpawnedServer;
let client: CoordinationClient;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "codegen-workflow-test-"));
  server = await spawnServer();
  client = createCoordinationClient({ baseUrl: server.url });
  await writeSmallContract();
});
afterAll(async () => {
  await client.close();
  await server.stop();
  await rm(folder, { recursive: true });
});

afterEach(stopStarted);

const inFolder = (name: string) => path.join(folder, name);
const small = () => ["--contract", inFolder("webhooks.json"), "--payloads", inFolder("payloads.json")];

/** Makes something when it is first asked for, for all tests that compare with it. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** The demo as everybody runs it, with a server of its own. */
const fullRun = once(() => runDemo("--out", inFolder("full")));
/** The demo on the small contract. */
const smallRun = once(() => runDemo(...small(), "--server", server.url, "--out", inFolder("small")));

/** Six of GitHub's webhooks, and their payloads: enough for an agent to have a middle of its work. */
async function writeSmallContract(): Promise<void> {
  const names = ["check_run", "create", "issues", "label", "push", "star"];
  const schema = (await packageJson("@octokit/webhooks-schemas/schema.json")) as { oneOf: { $ref: string }[] };
  const examples = (await packageJson("@octokit/webhooks-examples/api.github.com/index.json")) as { name: string }[];
  const isNamed = (name: string) => names.includes(name);
  const oneOf = schema.oneOf.filter(({ $ref }) => isNamed($ref.replace(/^#\/definitions\/|[_$]event$/g, "")));
  expect(oneOf).toHaveLength(names.length);
  await writeFile(inFolder("webhooks.json"), JSON.stringify({ ...schema, oneOf }));
  await writeFile(inFolder("payloads.json"), JSON.stringify(examples.filter(({ name }) => isNamed(name))));
}

async function reportIn(out: string) {
  return JSON.parse(await readFile(path.join(folder, out, "report.json"), "utf8"));
}

/** Everything that was signalled in a run of the demo. */
async function signalsOf({ stdout }: CommandResult): Promise<readonly CoordinationSignal[]> {
  const [, coordinationId = ""] = /^Coordination +(\S+) on/m.exec(stdout) ?? [];
  const signals: CoordinationSignal[] = [];
  for await (const signal of client.coordination(coordinationId).history({ order: "oldestFirst" }))
    signals.push(signal);
  return signals;
}

const sendersOf = (signals: readonly CoordinationSignal[], type: "agentInitialized" | "agentCompleted") =>
  signals.filter((signal) => isOfTypes(signal, [type])).map(({ senderAgentId }) => senderAgentId);

/** What was resolved, as often as it was. */
const resolvedIn = (signals: readonly CoordinationSignal[]) =>
  signals
    .filter((signal) => isOfTypes(signal, ["dependencyResolved"]))
    .map(({ event }) => `${event.value.dependencyType} ${event.value.dependencyId}`)
    .toSorted();

/** What was delivered again, as the agents say it. */
const redeliveriesIn = (signals: readonly CoordinationSignal[]) =>
  signals.flatMap(({ event }) =>
    event.case === "interAgentMessage" && event.value.messageType === "redelivered" ? [event.value.message] : [],
  );

describe("npm run demo", () => {
  test("turns GitHub's webhooks into models and validators, and finds that 276 of 329 real payloads pass", async () => {
    const { code, stdout, stderr } = await fullRun();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^ +\d+\.\d\d s +model-generator +ready: model-generation$/m);
    expect(stdout).toMatch(/^Who signalled what, and when:$/m);
    expect(stdout).toMatch(/66 × model: branch_protection_configuration … workflow_run$/m);
    expect(stdout).toMatch(/^propagation +average \d+(\.\d+)? ms, p99 \d/m);
    expect(stdout).toContain(`Generated files: ${inFolder("full")}\n`);
    expect(stdout.trimEnd().split("\n").at(-1)).toBe(
      "The workflow completed: 276 of 329 payloads passed (83.8 %); 66 validators loaded, 66 models type-checked.",
    );
    const report = await reportIn("full");
    expect(report).toMatchObject({ payloads: 329, passed: 276, qualityScore: 276 / 329, validators: 66, models: 66 });
    expect(report.failures).toHaveLength(53);
    expect(report.failures[2]).toMatchObject({
      eventType: "check_run",
      variant: "check_run$rerequested",
      source: "index.json#/1/examples/7",
      errors: expect.arrayContaining([{ path: "/check_run/app/created_at", message: 'must match format "date-time"' }]),
    });
  }, 300_000);

  test("names the failures in the completion of the test runner, and its requests are all answered once", async () => {
    const result = await smallRun();
    expect(result.code).toBe(0);
    const signals = await signalsOf(result);
    const completion = signals.filter((signal) => isOfTypes(signal, ["agentCompleted"])).at(-1);
    expect(completion).toMatchObject({
      senderAgentId: "test-runner",
      event: {
        value: {
          qualityScore: 51 / 59,
          resultSummary: expect.stringContaining(
            "failed: star$created  payloads.json#/5/examples/0  /repository must have required property 'is_template'",
          ),
        },
      },
    });
    const messages = signals.filter((signal) => isOfTypes(signal, ["interAgentMessage"]));
    const requests = messages.filter(({ event }) => event.case === "interAgentMessage" && event.value.requiresResponse);
    const answered = messages.map(({ correlationId }) => correlationId).filter((id) => id !== "");
    expect(requests.length).toBeGreaterThan(0);
    expect(answered.toSorted()).toEqual(requests.map(({ signalId }) => signalId).toSorted());
    expect(requests[0]).toMatchObject({
      senderAgentId: "test-runner",
      recipientAgentIds: ["validator-generator"],
      event: { value: { message: "need validator for check_run$created", requiresResponse: true } },
    });
  }, 120_000);

  test.each([["contract-parser"], ["model-generator"], ["test-runner"], ["validator-generator", "--order", backwards]])(
    "comes to the same when %s is killed in the middle of its work",
    async (agent, ...order) => {
      const out = `small-without-${agent}`;
      const to = ["--server", server.url, "--out", inFolder(out)];
      const result = await runDemo(...small(), ...to, "--kill", agent, ...order);
      expect({ code: result.code, stderr: result.stderr }).toEqual({ code: 0, stderr: "" });
      expect(result.stdout).toContain(`killing ${agent} in the middle of its work`);
      await smallRun();
      expect(await digestsOf(inFolder(out))).toEqual(await digestsOf(inFolder("small")));
      const signals = await signalsOf(result);
      const initialized = sendersOf(signals, "agentInitialized");
      expect(initialized.toSorted()).toEqual([...agents, agent].toSorted());
      if (order.length > 0) expect(initialized[0]).toBe("test-runner");
      expect(sendersOf(signals, "agentCompleted").toSorted()).toEqual(agents.toSorted());
      expect(resolvedIn(signals)).toEqual([...new Set(resolvedIn(signals))]);
      if (agent === "validator-generator") {
        const again = expect.stringMatching(/^contract \S+, attempt 2$/);
        expect(redeliveriesIn(signals)).toEqual(expect.arrayContaining([again]));
      }
      if (agent !== "model-generator") return;
      // It dies with its third contract signalled and not acknowledged: that one comes again, before what it had not begun.
      expect(redeliveriesIn(signals)[0]).toBe("contract issues, attempt 2");
      expect(result.stdout).toMatch(/model-generator +first redelivered: contract issues, attempt 2/);
    },
    120_000,
  );

  test.each(["all at once", backwards])(
    "shows that a deadlock is refused, and comes to the same, started %s",
    async (order) => {
      const out = `deadlock-${order === backwards ? "ordered" : "at-once"}`;
      const flags = order === backwards ? ["--order", backwards] : [];
      const args = [...small(), "--server", server.url, "--out", inFolder(out), "--deadlock", ...flags];
      const result = await runDemo(...args);
      expect({ code: result.code, stderr: result.stderr }).toEqual({ code: 0, stderr: "" });
      const [, first = "", path = ""] =
        /the wait of (\S+) was refused \(DEADLOCK: agents wait for each other: (.+)\), so it went first/.exec(
          result.stdout,
        ) ?? [];
      const other = first === "model-generator" ? "validator-generator" : "model-generator";
      expect(path).toBe(`${first} -> ${other} -> ${first}`);
      await smallRun();
      expect(await digestsOf(inFolder(out))).toEqual(await digestsOf(inFolder("small")));
      const signals = await signalsOf(result);
      const completed = sendersOf(signals, "agentCompleted");
      expect(completed.indexOf(first)).toBeLessThan(completed.indexOf(other));
      const refusals = signals.filter(
        ({ event }) => event.case === "interAgentMessage" && event.value.messageType === "deadlock-refused",
      );
      expect(refusals).toMatchObject([
        { senderAgentId: first, event: { value: { payload: { path: path.split(" -> ") } } } },
      ]);
    },
    120_000,
  );

  test("says that there was nothing to validate when there are no payloads", async () => {
    await writeFile(inFolder("shop.json"), JSON.stringify({ $defs: { Order: { type: "object" }, "a/b": true } }));
    const out = inFolder("shop");
    const result = await runDemo("--contract", inFolder("shop.json"), "--server", server.url, "--out", out);
    expect(result.code).toBe(0);
    expect(result.stdout).toContain("there were no payloads to validate; 2 validators loaded, 2 models type-checked");
    const completion = (await signalsOf(result)).findLast((signal) => isOfTypes(signal, ["agentCompleted"]));
    expect(completion?.event.value).not.toHaveProperty("qualityScore");
  }, 120_000);

  test("fails with what could not be generated by name, and still validates the rest", async () => {
    const definitions = { good: { type: "object" }, bad: { $ref: "#/nowhere" } };
    await writeFile(inFolder("half.json"), JSON.stringify({ definitions }));
    await writeFile(
      inFolder("half-payloads.json"),
      JSON.stringify(["good", "bad"].map((name) => ({ name, examples: [{}] }))),
    );
    const { code, stdout, stderr } = await runDemo(
      ...["--contract", inFolder("half.json"), "--payloads", inFolder("half-payloads.json")],
      ...["--server", server.url, "--out", inFolder("half")],
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/^model-generator: 1 of 2 models could not be generated: bad: /m);
    expect(stderr).toMatch(
      /^validator-generator: 1 of 2 validators could not be generated: bad: can't resolve reference/m,
    );
    expect(stderr).toMatch(/^test-runner: no validator of bad: can't resolve reference/m);
    expect(stdout).toContain("The workflow failed: 1 of 2 payloads passed (50.0 %)");
    expect(stdout).toMatch(/^2 dead letters, which nobody could do:$/m);
    expect(stdout).toMatch(/^ {2}validators: bad: can't resolve reference/m);
    expect(stdout).toMatch(/^ {2}models: bad: /m);
  }, 120_000);

  test("ends everything that it started when it is interrupted", async () => {
    const demo = await startDemo("--out", inFolder("interrupted"));
    const [, url = ""] = await demo.waitForOutput(/^Coordination .* on (\S+)$/m);
    await demo.waitForOutput(/first model/);
    demo.kill("SIGINT");
    expect(await demo.exited).toEqual({ code: 130, signal: null });
    expect(demo.stderr()).toBe("interrupted by SIGINT\n");
    await expect(fetch(`${url}/healthz`)).rejects.toThrow("fetch failed");
  }, 120_000);

  test.each([
    ["a contract that is not there", ["--contract", "no-such.json"], "cannot read contract"],
    ["payloads that are not there", ["--payloads", "no-such"], "cannot read payloads"],
    [
      "a server that does not answer",
      ["--server", "http://127.0.0.1:9"],
      "no coordination server answers at http://127.0.0.1:9",
    ],
    ["an output folder that is a file", ["--out", "package.json"], "cannot use output folder package.json: EEXIST"],
    [
      "an output folder where none can be made",
      ["--out", "package.json/out"],
      "cannot use output folder package.json/out",
    ],
    ["an unknown agent", ["--kill", "poet"], "Allowed choices are contract-parser"],
    ["an incomplete order", ["--order", "test-runner"], "must name each of contract-parser"],
  ])("refuses %s before it starts anything", async (_what, args, message) => {
    const { code, stdout, stderr } = await runDemo(...args);
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  test("prints every flag with its default", async () => {
    const { code, stdout } = await runDemo("--help");
    expect(code).toBe(0);
    for (const flag of [
      "--server",
      "--contract",
      "--payloads",
      "--out",
      "--keep",
      "--order",
      "--kill",
      "--deadlock",
      "--timeout",
    ]) {
      expect(stdout).toContain(flag);
    }
    expect(stdout).toContain("(default: 300)");
  });
});

describe("agents by hand", () => {
  /** The command line of an agent in a coordination. */
  const argsIn = (coordinationId: string) => [
    ...["--server", server.url, "--coordination", coordinationId, "--out", inFolder(coordinationId)],
  ];

  /** Reads a coordination from the start until an agent has completed, and tells with which error. */
  async function completionOf(observer: Pick<CoordinationSession, "subscribe">, agentId: string, times = 1) {
    let completions = 0;
    for await (const { senderAgentId, event } of observer.subscribe({ types: ["agentCompleted"], from: "earliest" })) {
      if (senderAgentId !== agentId) continue;
      completions += 1;
      if (completions === times) return event.value.error;
    }
    throw new Error("the coordination ended");
  }

  test("a test runner whose requests nobody answers gives up, and goes on when started again; who has completed does not complete again", async () => {
    const coordinationId = "unanswered";
    const observer = client.coordination(coordinationId);
    const parser = await startAgent("contract-parser", ...argsIn(coordinationId), ...small());
    const models = await startAgent("model-generator", ...argsIn(coordinationId));
    const generator = await startAgent("validator-generator", ...argsIn(coordinationId));
    expect(await completionOf(observer, "validator-generator")).toBeUndefined();
    generator.kill("SIGKILL");
    await generator.exited;
    expect(await parser.exited).toEqual({ code: 0, signal: null });
    expect(await models.exited).toEqual({ code: 0, signal: null });

    const first = await startAgent("test-runner", ...argsIn(coordinationId), "--response-timeout", "300");
    expect(await first.exited).toEqual({ code: 1, signal: null });
    expect(first.stderr()).toMatch(/^test-runner: no reply from validator-generator to request \S+ within 300 ms/);
    expect(await completionOf(observer, "test-runner")).toMatch(/^no reply from validator-generator/);

    const second = await startAgent("test-runner", ...argsIn(coordinationId));
    const generatorAgain = await startAgent("validator-generator", ...argsIn(coordinationId));
    expect(await second.exited).toEqual({ code: 0, signal: null });
    expect(await generatorAgain.exited).toEqual({ code: 0, signal: null });
    await smallRun();
    expect(await digestsOf(inFolder(coordinationId))).toEqual(await digestsOf(inFolder("small")));

    const { totalSignalsSent } = await observer.metrics();
    for (const [name, ...flags] of [["model-generator"], ["contract-parser", ...small()]] as const) {
      const again = await startAgent(name, ...argsIn(coordinationId), ...flags);
      expect(await again.exited).toEqual({ code: 0, signal: null });
    }
    expect((await observer.metrics()).totalSignalsSent).toBe(totalSignalsSent);
  }, 120_000);

  test("agents that find that the parser has failed complete with its error", async () => {
    const coordinationId = "unreadable";
    const parser = await startAgent("contract-parser", ...argsIn(coordinationId), "--contract", "no-such.json");
    expect(await parser.exited).toEqual({ code: 1, signal: null });
    const others = ["model-generator", "validator-generator", "test-runner"];
    const started = await Promise.all(others.map((name) => startAgent(name, ...argsIn(coordinationId))));
    for (const agent of started) expect(await agent.exited).toEqual({ code: 3, signal: null });
    for (const name of others) {
      const error = await completionOf(client.coordination(coordinationId), name);
      expect(error).toMatch(/^contract-parser failed: cannot read contract .*no-such\.json/);
    }
  }, 120_000);

  test("an agent that cannot know what happened refuses to work", async () => {
    await using forgetful = await spawnServer(["--max-history-signals", "100"]);
    await using toForgetful = createCoordinationClient({ baseUrl: forgetful.url });
    const talker = toForgetful.coordination("forgotten", { agentId: "talker" });
    await Promise.all(Array.from({ length: 300 }, () => talker.message({ messageType: "small talk" })));
    const agent = await startAgent("model-generator", ...argsIn("forgotten"), "--server", forgetful.url);
    expect(await agent.exited).toEqual({ code: 1, signal: null });
    expect(agent.stderr()).toMatch(/^model-generator: the server no longer keeps signals 1 to \d+\n$/);
  }, 120_000);

  test("each prints its flags", async () => {
    for (const name of agents) {
      const agent = await startAgent(name, "--help");
      expect((await agent.exited).code).toBe(0);
      const help = agent.stdout().replaceAll(/\s+/g, " ");
      expect(help).toContain(`--agent-id <id> id of this agent in it (default: "${name}")`);
      expect(help).toContain('--server <url> coordination server (default: "http://127.0.0.1:50051")');
    }
  });
});
