/** The largest encoded signal, as the contract has it. */
export const maxSignalBytes = 256 * 1024;
/** The most signals in one batch, as the contract has it. */
export const maxBatchSignals = 1_000;
/** The largest batch: the contract's 4 MiB request, less room for the request's other fields. */
export const maxBatchBytes = 4 * 1024 * 1024 - 1024;
/** What a batch adds to each signal: the field's tag and its length. */
export const batchItemOverheadBytes = 5;
