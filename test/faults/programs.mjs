/** What runs, by name and in this order: a program, which is a file beside this one, and what it is given. */
export const programs = {
  "kill-loop": ["kill-loop"],
  "kill-loop-postgres": ["kill-loop", "--store", "postgres"],
  "ack-kills": ["ack-kills"],
  "disk-errors": ["disk-errors"],
  "power-cut": ["power-cut"],
  "bit-flips": ["bit-flips"],
  connections: ["connections"],
  "postgres-faults": ["postgres-faults"],
  "state-model": ["state-model"],
  "store-model": ["store-model"],
  "hand-over": ["hand-over"],
};

const killLoop = ["kill-loop", "--cycles", "8", "--signals", "8000"];
const ackKills = ["ack-kills", "--kills", "40"];
const connections = ["connections", "--resumes", "500"];
const postgresFaults = ["postgres-faults", "--cycles", "14", "--signals", "4000"];
const stateModel = ["state-model", "--runs", "100"];
const storeModel = ["store-model", "--runs", "50"];
const handOver = ["hand-over", "--runs", "2000"];

/**
 * The runs that prove the checks. Each plants a bug (`planted/planted-bugs.ts` has most of them) in a program that must find
 * it: `finds` are the counts of which at least one must then not be zero. Where damage may take the process that looks at it
 * along, `mayCrash` says so.
 */
export const plantedRuns = [
  { bug: "acknowledge before commit", by: killLoop, finds: ["lost"] },
  { bug: "notify before durable", by: killLoop, finds: ["shown before durable"] },
  { bug: "sequence taken twice", by: killLoop, finds: ["lost", "duplicated", "reordered"] },
  { bug: "idempotency key not stored", by: killLoop, finds: ["duplicated"] },
  { bug: "resume off by one", by: killLoop, finds: ["duplicated", "reordered"] },
  { bug: "lease not kept", by: ackKills, finds: ["duplicated", "lost"] },
  { bug: "acknowledge before commit", by: ackKills, finds: ["duplicated", "lost"] },
  { bug: "syncs skipped", by: ["power-cut", "--images", "120"], finds: ["lost"] },
  { bug: "batch in two commits", by: ["power-cut", "--images", "240"], finds: ["otherwise wrong"] },
  { bug: "damage taken for absence", by: ["bit-flips", "--flips", "100"], finds: ["lost"], mayCrash: true },
  { bug: "resume off by one", by: connections, finds: ["duplicated", "reordered"] },
  // The server may see first that the database has less than it answered for, and end: what is sent again is then new.
  { bug: "acknowledge before commit", by: postgresFaults, finds: ["lost", "otherwise wrong"] },
  { bug: "idempotency key not stored", by: postgresFaults, finds: ["duplicated"] },
  { bug: "conflict taken for success", by: postgresFaults, finds: ["lost", "otherwise wrong"] },
  { bug: "resume off by one", by: postgresFaults, finds: ["duplicated", "reordered"] },
  { bug: "replay of a rolled-back signal", by: stateModel, finds: ["lost", "duplicated", "otherwise wrong"] },
  { bug: "sequence taken twice", by: stateModel, finds: ["lost", "duplicated", "otherwise wrong"] },
  { bug: "idempotency key not stored", by: stateModel, finds: ["duplicated", "otherwise wrong"] },
  { bug: "replay of a rolled-back signal", by: storeModel, finds: ["duplicated", "otherwise wrong"] },
  { bug: "sequence taken twice", by: storeModel, finds: ["lost", "otherwise wrong"] },
  { bug: "idempotency key not stored", by: storeModel, finds: ["lost", "otherwise wrong"] },
  { bug: "replay of a rolled-back signal", by: handOver, finds: ["lost", "duplicated"] },
  { bug: "trim past a reader", by: handOver, finds: ["lost"] },
  { bug: "lost wake-up", by: handOver, finds: ["lost"] },
  { bug: "resume off by one", by: handOver, finds: ["lost", "duplicated"] },
];
