/** The names of the bugs that can be planted in a server, apart from what plants them: naming them must not load a server. */
export const serverBugs = [
  "acknowledge before commit",
  "notify before durable",
  "sequence taken twice",
  "trim past a reader",
  "lost wake-up",
  "resume off by one",
  "replay of a rolled-back signal",
  "idempotency key not stored",
  "batch in two commits",
  "conflict taken for success",
  "lease not kept",
] as const;
