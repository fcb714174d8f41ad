import type { CoordinationObserver, TypedSignal } from "@coordination-signals/client";
import type { JsonObject } from "../json-value.js";
import { contractFrom, type ResolvedContract } from "./resolution.js";
import { dependencyTypes } from "./vocabulary.js";

type ResolvedSignal = TypedSignal<"dependencyResolved">;

/** Where to look for what was resolved. */
export interface ResolvedSource {
  readonly session: Pick<CoordinationObserver, "history">;
  readonly signal: AbortSignal;
}

/** Picks the signals that resolve dependencies of a type. */
export function resolutionsOfType(dependencyType: string) {
  const expression = `signal.dependency_resolved.dependency_type == ${JSON.stringify(dependencyType)}`;
  return { types: ["dependencyResolved"], expression } as const;
}

/** Reads what was resolved of a type by now, by its id, in the order in which it first was; of what was again, the last. */
export async function readResolved<T>(
  { session, signal }: ResolvedSource,
  dependencyType: string,
  read: (data: JsonObject, dependencyId: string) => T,
): Promise<ReadonlyMap<string, T>> {
  const found = new Map<string, T>();
  const options = { order: "oldestFirst", pageSize: 1_000, signal } as const;
  for await (const resolved of session.history({ ...resolutionsOfType(dependencyType), ...options })) {
    found.set(resolved.event.value.dependencyId, dataOf(resolved, read));
  }
  return found;
}

/** Reads the contracts that are resolved by now. */
export async function readContracts(source: ResolvedSource): Promise<readonly ResolvedContract[]> {
  return [...(await readResolved(source, dependencyTypes.contract, contractFrom)).values()];
}

/**
 * Reads the data of a dependency that a signal resolves.
 * @throws Error when it cannot be understood, with whose it is: anybody can send a signal.
 */
export function dataOf<T>(
  { sequence, senderAgentId, event }: ResolvedSignal,
  read: (data: JsonObject, dependencyId: string) => T,
): T {
  try {
    return read(event.value.resolutionData ?? {}, event.value.dependencyId);
  } catch (error) {
    const message = `signal ${sequence} of ${senderAgentId} cannot be understood: ${(error as Error).message}`;
    throw new Error(message, { cause: error });
  }
}
