/** Every bound of the workflow, with its reason. */

/** The largest contract file: one document is held in memory and walked as a whole. */
export const maxContractBytes = 64 * 1024 * 1024;
/** Event types of one contract: with models, validators and requests they stay below the server's retention of 10,000 signals. */
export const maxEventTypes = 500;
/** The longest event type: it travels as a dependency id. */
export const maxEventTypeLength = 200;
/** Payload files of one run, and payloads of one index file. */
export const maxPayloads = 10_000;
/** The largest payload file. */
export const maxPayloadFileBytes = 64 * 1024 * 1024;
/** All payloads of one run together: the contract parser holds them at once to sort them by event type. */
export const maxPayloadTotalBytes = 256 * 1024 * 1024;
/** Folders below the payload folder that are searched. */
export const maxPayloadFolderDepth = 4;
/** Errors kept of one failed payload: a union reports those of all its members, and a reader wants the first. */
export const maxErrorsPerPayload = 5;
/** Failures that a completion names: the signal that carries them must stay below 256 KiB. The report names all. */
export const maxFailuresInSummary = 200;
/** Problems that the error of a completion names. */
export const maxProblemsInError = 20;
/** The longest line of a summary, for the same reason. */
export const maxSummaryLineLength = 300;
/** Diagnostics kept of one model that does not type-check. */
export const maxDiagnosticsPerModel = 3;
/** Requests the test runner sends for validators of variants. */
export const maxVariantRequests = 500;
/** Contracts that the test runner is at, and requests that it has open, at the same time. */
export const maxConcurrentTrials = 16;
/** Contracts that a generator has and has not settled: those that are delivered again when it dies. */
export const maxContractsAtHand = 4;
/** The longest reason of a rejection: the contract of the system allows 1,024 characters. */
export const maxRejectionLength = 1_000;
/** How long an agent waits for another: the longest wait that a server takes. Agents are started by hand, too. */
export const maxWaitMs = 3_600_000;
/** Conditions of one wait: the most that a server takes. */
export const maxWaitConditions = 100;
/** The largest generated file that an agent reads back. */
export const maxArtifactBytes = 256 * 1024 * 1024;
