/** Graphs of agents that wait for each other, each with the verdicts that are expected. */

/** What a wait is for; dependencies are of type "d". */
export type CorpusCondition =
  | { readonly dependency: string; readonly from?: readonly string[] }
  | { readonly completed: string }
  | { readonly message: string; readonly from?: readonly string[] };

/** A wait, by the name under which the verdicts speak of it. */
export interface CorpusWait {
  readonly wait: string;
  readonly agent: string;
  readonly on: readonly CorpusCondition[];
  readonly mode?: "any" | "all" | number;
  readonly independent?: boolean;
}

/** One thing that happens. */
export type CorpusStep =
  | CorpusWait
  | { readonly register: string; readonly provides?: readonly string[] }
  | { readonly resolve: string; readonly by: string }
  | { readonly complete: string; readonly error?: string }
  | { readonly message: string; readonly by: string }
  | { readonly goOffline: string };

/** How a wait stands at the end: open, answered, or refused or ended with the path of a loop. */
export type CorpusVerdict = "open" | "answered" | `deadlock ${string}`;

/** A graph and what is expected of it. */
export interface WaitGraphCase {
  readonly name: string;
  readonly steps: readonly CorpusStep[];
  readonly verdicts: Readonly<Record<string, CorpusVerdict>>;
  /** Open waits that nobody who is there can end. */
  readonly orphans?: readonly string[];
}

const registered = (...agents: string[]): CorpusStep[] => agents.map((register) => ({ register }));
const on = (agent: string, ...others: string[]): CorpusWait => ({
  wait: `${agent}1`,
  agent,
  on: others.map((other) => ({ completed: other })),
});

export const waitGraphCorpus: readonly WaitGraphCase[] = [
  {
    name: "self loop: an agent waits for its own completion",
    steps: [...registered("a"), on("a", "a")],
    verdicts: { a1: "deadlock a -> a" },
  },
  {
    name: "self loop: an agent waits for what only it provides",
    steps: [
      { register: "a", provides: ["X*"] },
      { wait: "a1", agent: "a", on: [{ dependency: "X1" }] },
    ],
    verdicts: { a1: "deadlock a -> a" },
  },
  {
    name: "no self loop: an independent wait leaves the agent free to act",
    steps: [...registered("a"), { ...on("a", "a"), independent: true }],
    verdicts: { a1: "open" },
  },
  {
    name: "two: the second wait closes the loop and is refused, the first goes on",
    steps: [...registered("a", "b"), on("a", "b"), on("b", "a")],
    verdicts: { a1: "open", b1: "deadlock b -> a -> b" },
  },
  {
    name: "two, neither of them registered",
    steps: [on("a", "b"), on("b", "a")],
    verdicts: { a1: "open", b1: "deadlock b -> a -> b" },
  },
  {
    name: "two, by dependencies that each expects from the other",
    steps: [
      ...registered("a", "b"),
      { wait: "a1", agent: "a", on: [{ dependency: "Y", from: ["b"] }] },
      { wait: "b1", agent: "b", on: [{ dependency: "X", from: ["a"] }] },
    ],
    verdicts: { a1: "open", b1: "deadlock b -> a -> b" },
  },
  {
    name: "two, by what each provides",
    steps: [
      { register: "a", provides: ["X"] },
      { register: "b", provides: ["Y*"] },
      { wait: "a1", agent: "a", on: [{ dependency: "Y7" }] },
      { wait: "b1", agent: "b", on: [{ dependency: "X" }] },
    ],
    verdicts: { a1: "open", b1: "deadlock b -> a -> b" },
  },
  {
    name: "two, by messages that each expects from the other",
    steps: [
      ...registered("a", "b"),
      { wait: "a1", agent: "a", on: [{ message: "go", from: ["b"] }] },
      { wait: "b1", agent: "b", on: [{ message: "go", from: ["a"] }] },
    ],
    verdicts: { a1: "open", b1: "deadlock b -> a -> b" },
  },
  {
    name: "three",
    steps: [...registered("a", "b", "c"), on("a", "b"), on("b", "c"), on("c", "a")],
    verdicts: { a1: "open", b1: "open", c1: "deadlock c -> a -> b -> c" },
  },
  {
    name: "a chain is no loop",
    steps: [...registered("a", "b", "c", "d"), on("a", "b"), on("b", "c"), on("c", "d")],
    verdicts: { a1: "open", b1: "open", c1: "open" },
  },
  {
    name: "a diamond is no loop",
    steps: [...registered("a", "b", "c", "d"), on("a", "b", "c"), on("b", "d"), on("c", "d")],
    verdicts: { a1: "open", b1: "open", c1: "open" },
  },
  {
    name: "A -> B <-> C: the refused wait closes the loop, A and B go on",
    steps: [...registered("a", "b", "c"), on("a", "b"), on("b", "c"), on("c", "b")],
    verdicts: { a1: "open", b1: "open", c1: "deadlock c -> b -> c" },
  },
  {
    name: "ALL with one who could act and one in the loop is a loop",
    steps: [...registered("a", "b", "c"), on("a", "b", "c"), on("b", "a")],
    verdicts: { a1: "open", b1: "deadlock b -> a -> b" },
  },
  {
    name: "ANY with an escape is no loop",
    steps: [...registered("a", "b", "c"), { ...on("a", "b", "c"), mode: "any" }, on("b", "a")],
    verdicts: { a1: "open", b1: "open" },
  },
  {
    name: "one dependency expected from several is an escape as well",
    steps: [
      ...registered("a", "b", "c"),
      { wait: "a1", agent: "a", on: [{ dependency: "X", from: ["b", "c"] }] },
      on("b", "a"),
    ],
    verdicts: { a1: "open", b1: "open" },
  },
  {
    name: "ANY whose escapes wait too is a loop",
    steps: [...registered("a", "b", "c"), { ...on("a", "b", "c"), mode: "any" }, on("b", "a"), on("c", "a")],
    verdicts: { a1: "open", b1: "open", c1: "deadlock c -> a -> c" },
  },
  {
    name: "ANY with an agent that has yet to come is no loop",
    steps: [...registered("a", "b"), { ...on("a", "b", "late"), mode: "any" }, on("b", "a")],
    verdicts: { a1: "open", b1: "open" },
  },
  {
    name: "ANY whose escape goes offline: the youngest wait of the loop ends",
    steps: [...registered("a", "b", "c"), { ...on("a", "b", "c"), mode: "any" }, on("b", "a"), { goOffline: "c" }],
    verdicts: { a1: "open", b1: "deadlock b -> a -> b" },
  },
  {
    name: "one dependency whose escape completes without resolving it: the youngest wait of the loop ends",
    steps: [
      ...registered("a", "b", "c"),
      { wait: "a1", agent: "a", on: [{ dependency: "X", from: ["b", "c"] }] },
      on("b", "a"),
      { complete: "c" },
    ],
    verdicts: { a1: "open", b1: "deadlock b -> a -> b" },
  },
  {
    name: "AT_LEAST with enough who can act is no loop",
    steps: [...registered("a", "b", "c", "d"), { ...on("a", "b", "c", "d"), mode: 2 }, on("b", "a")],
    verdicts: { a1: "open", b1: "open" },
  },
  {
    name: "AT_LEAST with too few who can act is a loop",
    steps: [...registered("a", "b", "c", "d"), { ...on("a", "b", "c", "d"), mode: 2 }, on("b", "a"), on("c", "a")],
    verdicts: { a1: "open", b1: "open", c1: "deadlock c -> a -> c" },
  },
  {
    name: "waits of one agent add up",
    steps: [
      ...registered("a", "b", "c"),
      on("a", "c"),
      { wait: "a2", agent: "a", on: [{ completed: "b" }] },
      on("b", "a"),
    ],
    verdicts: { a1: "open", a2: "open", b1: "deadlock b -> a -> b" },
  },
  {
    name: "an independent wait does not hold up those who wait for its agent",
    steps: [...registered("a", "b"), { ...on("a", "b"), independent: true }, on("b", "a")],
    verdicts: { a1: "open", b1: "open" },
  },
  {
    name: "orphan: its agent was never registered",
    steps: [...registered("a"), on("a", "nobody")],
    verdicts: { a1: "open" },
    orphans: ["a1"],
  },
  {
    name: "orphan: its agent went offline",
    steps: [...registered("a", "b"), on("a", "b"), { goOffline: "b" }],
    verdicts: { a1: "open" },
    orphans: ["a1"],
  },
  {
    name: "orphan: its agent completed without resolving",
    steps: [
      ...registered("a", "b"),
      { wait: "a1", agent: "a", on: [{ dependency: "X", from: ["b"] }] },
      { complete: "b" },
    ],
    verdicts: { a1: "open" },
    orphans: ["a1"],
  },
  {
    name: "no orphan: one of two alternatives is there",
    steps: [...registered("a", "b"), { ...on("a", "b", "nobody"), mode: "any" }],
    verdicts: { a1: "open" },
    orphans: [],
  },
  {
    name: "whoever waits for an orphan is in no loop",
    steps: [...registered("a", "b", "c"), on("a", "b"), on("b", "c"), { goOffline: "c" }],
    verdicts: { a1: "open", b1: "open" },
    orphans: ["b1"],
  },
  {
    name: "nobody is named: agents may start in any order, so anybody may come",
    steps: [
      ...registered("a", "b"),
      { wait: "a1", agent: "a", on: [{ dependency: "X" }] },
      { wait: "b1", agent: "b", on: [{ dependency: "Y" }] },
    ],
    verdicts: { a1: "open", b1: "open" },
    orphans: [],
  },
  {
    name: "resolved just before: history breaks the loop before it closes",
    steps: [
      ...registered("a", "b"),
      { resolve: "Y", by: "b" },
      { wait: "a1", agent: "a", on: [{ dependency: "Y", from: ["b"] }] },
      on("b", "a"),
    ],
    verdicts: { a1: "answered", b1: "open" },
  },
  {
    name: "resolved during: what is met of an open wait holds nobody up any more",
    steps: [
      ...registered("a", "b", "c"),
      { wait: "a1", agent: "a", on: [{ dependency: "Y", from: ["b"] }, { completed: "c" }] },
      { resolve: "Y", by: "b" },
      on("b", "a"),
    ],
    verdicts: { a1: "open", b1: "open" },
  },
  {
    name: "resolved during: a message that has come holds nobody up any more",
    steps: [
      ...registered("a", "b", "c"),
      { wait: "a1", agent: "a", on: [{ message: "go", from: ["b"] }, { completed: "c" }] },
      { message: "go", by: "b" },
      on("b", "a"),
    ],
    verdicts: { a1: "open", b1: "open" },
  },
  {
    name: "resolved during, in vain: the rest of the wait still closes the loop",
    steps: [
      ...registered("a", "b"),
      { wait: "a1", agent: "a", on: [{ dependency: "Y", from: ["b"] }, { completed: "b" }] },
      { resolve: "Y", by: "b" },
      on("b", "a"),
    ],
    verdicts: { a1: "open", b1: "deadlock b -> a -> b" },
  },
  {
    name: "a loop by an agent that registers later for what others wait for",
    steps: [
      ...registered("a", "b"),
      { wait: "a1", agent: "a", on: [{ dependency: "X" }] },
      on("b", "a"),
      { register: "b", provides: ["X"] },
    ],
    verdicts: { a1: "open", b1: "deadlock b -> a -> b" },
  },
];
