/** Every bound of the server that is not a flag, with its reason. Flags (`config.ts`) carry their own defaults. */

/** The largest encoded signal: one never fills a response batch by itself, so batches can be cut at a bound. */
export const maxSignalBytes = 256 * 1024;
/** The largest request message: a full batch of average signals, and what one malicious call may make the server hold. */
export const maxRequestBytes = 4 * 1024 * 1024;
/** Where response batches and pages are cut: below every default client limit (gRPC's is 4 MiB). */
export const maxResponseBytes = 1024 * 1024;
/**
 * Bytes of open waits in one answer. In JSON the smallest of them take four times as much, and other lists stand beside them: together
 * they stay below what clients take.
 */
export const maxListedWaitBytes = 640 * 1024;
/** Bytes of each other list that stands beside open waits. */
export const maxListBytes = 256 * 1024;
/** Characters of a digraph of Graphviz. */
export const maxDotCharacters = 256 * 1024;
/** Signals in one subscription batch: bounds the time one turn of the event loop spends on one reader. */
export const maxBatchSignals = 1000;
/**
 * Signals that a batch in order of priority holds back for each lower level in which something waits, and what they may weigh
 * together: the share that keeps a flood of urgent signals from starving the others. One signal of any size fits into it.
 */
export const levelShareSignals = 100;
export const levelShareBytes = 256 * 1024;
/** Signals looked at for a level's part of a batch: what is found of one level waits no longer for what is sought of others. */
export const maxLevelScanSignals = 10_000;
/** Nesting of a Struct: every level takes three messages, and protobuf readers in most languages stop at 100. */
export const maxStructDepth = 30;
/** Page size when the request says 0. */
export const defaultPageSize = 100;
/** Signals scanned for one page of history: bounds the cost of a filter that matches nothing. */
export const maxPageScanSignals = 10_000;
/** How often an idle subscription reports its position unless it says otherwise. */
export const defaultCheckpointIntervalMs = 5_000;
/** How long an agent counts as alive after it was last heard of unless it says otherwise. */
export const defaultLeaseMs = 60_000;
/** Agents one coordination can know: they live in memory while it is in use. Room for one agent per subscription of a large one. */
export const maxAgentsPerCoordination = 20_000;
/** Dependencies one coordination can remember; they outlive trimming, so the bound is on distinct keys. */
export const maxDependenciesPerCoordination = 10_000;
/** Known agents that an unknown recipient's error names. */
export const maxSuggestedAgents = 16;
/** Characters of those names together: the error tells them three times, and its details must fit into HTTP/2 trailers. */
export const maxSuggestedCharacters = 1_600;
/** Known agents that are compared with an unknown name: bounds what a wrong name costs. */
export const maxComparedAgents = 2_000;
/** Violations one error names: HTTP/2 trailers must stay small. */
export const maxViolations = 16;
/** Bytes of an error's message: with the metadata below, its details fit into HTTP/2 trailers. */
export const maxErrorMessageBytes = 1_600;
/** Bytes of a text in an error's metadata: what a completion's error takes in any script. */
export const maxErrorTextBytes = 3_200;
/** Bytes of an error's metadata: in base64, with the message, below the 12 KiB that every client takes. */
export const maxErrorMetadataBytes = 7_000;
/** Signals the tail cache keeps per coordination: readers this close to the head never touch the store. */
export const tailCacheSignals = 1_024;
/** Bytes the tail cache keeps per coordination. */
export const tailCacheBytes = 1024 * 1024;
/** Signals it keeps of a coordination in use, where the server has room: readers of a burst fall behind by thousands. */
export const extendedTailSignals = 16_384;
/** Bytes it keeps of a coordination in use, where the server has room. */
export const extendedTailBytes = 4 * 1024 * 1024;
/** Memory that tail caches beyond their own share may take together. */
export const tailBudgetBytes = 128 * 1024 * 1024;
/** Operations that may wait for one coordination's writer; beyond it senders are told to slow down. */
export const maxQueuedOperations = 10_000;
/** Signals in one group commit of one coordination: bounds how long the lock is held. */
export const maxCommitSignals = 2_000;
/** Batches of one stream of sends that are begun and not answered: enough to fill a commit while another is on its way. */
export const maxStreamBatches = 8;
/** The longest CEL filter expression, in characters. */
export const maxExpressionLength = 1_000;
/** Nodes in a CEL filter expression's syntax tree. */
export const maxExpressionNodes = 200;
/** Work one evaluation of an expression may do, and all those of one transform of one signal together: a step takes some 60 nanoseconds, 400 at worst. */
export const maxExpressionSteps = 200_000;
/** Work that the evaluations of one turn of the event loop may do before everybody else runs; the last one may go beyond. */
export const maxTurnSteps = 200_000;
/** Turns that evaluations for one page of history, or for one priority of a batch, may take: then it goes out as it is. */
export const maxReadTurns = 10;
/** Instructions that the patterns of one filter expression may compile to. */
export const maxPatternInstructions = 1_000;
/** States that the automata of one filter expression's patterns may keep, of 1 to 5 KB each. */
export const maxPatternStates = 128;
/** Compiled filter expressions that are kept for the next reader with the same one. */
export const maxCachedExpressions = 100;
/** What a redacted value becomes unless the transform says otherwise. */
export const defaultRedaction = "[redacted]";
/** Paths of `--redact`: as many as the fields of a transform, which they become. */
export const maxRedactedPaths = 32;
/** Paths in a transform's read mask. */
export const maxReadMaskPaths = 100;
/** Waits that can be open in one coordination: a new one is checked against all of them. */
export const maxWaitsPerCoordination = 10_000;
/** The largest request to wait: it stays in memory for as long as it is open. */
export const maxWaitBytes = 64 * 1024;
/** Named subscriptions of one coordination: each is asked about signals that are removed before it has seen them. */
export const maxNamedSubscriptions = 1_000;
/** The largest filter of a named subscription, in bytes: it stays in memory while the coordination is in use. */
export const maxNamedFilterBytes = 16 * 1024;
/** Dead letters one coordination keeps, each with its signal: with one more the oldest goes. */
export const maxDeadLetters = 1_000;
/** Signals of one coordination that were redriven and are not settled: each keeps the copy that it had as a dead letter. */
export const maxRedriven = 1_000;
/** CONTROL signals of one subscription that may be delivered and not settled, beside its ordinary ones. */
export const maxOutstandingControls = 1_000;
/** The longest that a delivery can be leased, extended or rest. */
export const maxDeliveryDelayMs = 3_600_000;
/**
 * How far the clocks of servers that share a store are apart at the most. A delivery that is due later than the longest delay and
 * this from now was stored by a clock that has gone back; with less, a server whose clock is behind would take another's for one.
 */
export const maxClockSkewMs = 300_000;
/** What an acknowledgement policy says unless it says otherwise. */
export const defaultAckDeadlineMs = 30_000;
export const defaultMaxDeliveryAttempts = 5;
export const defaultMinBackoffMs = 1_000;
export const defaultMaxBackoffMs = 60_000;
export const defaultMaxOutstanding = 1_000;
/** How long a send waits for acknowledgements unless it says otherwise. */
export const defaultAckTimeoutMs = 30_000;
/** Agents whose acknowledgements are required of one signal. */
export const maxRequiredAcks = 64;
/** Signals of which one coordination keeps exactly who had to acknowledge them and has: they are in memory while it is in use. */
export const maxRequiredAckSignals = 1_000;
/** Filters that are asked under the lock whether somebody could acknowledge a signal: past it agents are taken for able. */
export const maxAskedFilters = 64;
/** How long a wait lasts unless it says otherwise. */
export const defaultWaitTimeoutMs = 60_000;
/** How long a request for a reply waits unless it says otherwise. */
export const defaultResponseTimeoutMs = 30_000;
/** The longest that a request for a reply can wait, as the longest wait. */
export const maxResponseTimeoutMs = 3_600_000;
/** Bytes of conditions that are kept of a wait that has ended. */
export const maxEndedWaitBytes = 4 * 1024;
/** Signals one timeline tells of: they are in memory together while it is made. */
export const maxTimelineSignals = 50_000;
/** Signals a timeline lists when the request says 0. */
export const defaultTimelineSignals = 1_000;
/** Agents a timeline tells of, and steps of its critical path that it lists. */
export const maxTimelineItems = 1_000;
/** Edges a timeline lists. */
export const maxTimelineEdges = 10_000;
/** Idle gaps of one agent that a timeline lists. */
export const maxIdleGaps = 100;
/** The shortest idle gap unless the request says otherwise. */
export const defaultIdleMs = 1_000;
/** Characters of a Mermaid diagram: what Mermaid draws unless it is told otherwise. */
export const maxMermaidCharacters = 50_000;
/** The largest filter that is kept with what its subscription was handed: many subscriptions are. */
export const maxKeptFilterBytes = 2 * 1024;
/** Signals one look for replies, or for a signal by its id, reads at the most. */
export const maxReceiptSignals = 50_000;
