import { WorkflowInputError } from "../workflow-input-error.js";

const answerTimeoutMs = 5_000;

/**
 * Finds out whether a coordination server answers, so that a wrong address is said at once and not after many retries.
 * @throws WorkflowInputError when none does.
 */
export async function findServer(url: string, signal: AbortSignal): Promise<void> {
  const readiness = new URL("/readyz", url);
  const give = AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)]);
  let status: number;
  try {
    ({ status } = await fetch(readiness, { signal: give }));
  } catch (error) {
    signal.throwIfAborted();
    throw new WorkflowInputError(`no coordination server answers at ${url}: ${causeOf(error)}`, { cause: error });
  }
  if (status !== 200)
    throw new WorkflowInputError(`${readiness} answered ${status}: the server at ${url} is not ready`);
}

/** `fetch failed` says nothing; its cause does. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message || causeCode(error.cause) : error.message;
}

function causeCode(cause: Error): string {
  return "code" in cause ? String(cause.code) : cause.name;
}
