import type { DeadLetter } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import type { CallOptions } from "../calls/caller.js";
import { invalidOption } from "../errors/invalid-option.js";
import { checkSequence } from "../options/check-sequence.js";
import { countFrom } from "../options/count-from.js";
import type { Page } from "../read-pages.js";
import { assertKnownOptions } from "../signals/signal-filter.js";
import type { DurableSubscriptionsEnvironment, ListPageOptions } from "./durable-subscriptions.js";

/** Which dead letters to list. */
export interface ListDeadLettersOptions extends ListPageOptions {
  /** Those of this subscription. Default: of all. */
  readonly subscription?: string | undefined;
}

/** Some of the signals that named subscriptions gave up delivering. */
export interface DeadLetterPage extends Page {
  /** The dead letters, those that came last first. */
  readonly deadLetters: readonly DeadLetter[];
  /** How many there are. */
  readonly deadLetterCount: bigint;
  /** How many have gone because the coordination keeps 1,000 at the most, the oldest first. */
  readonly droppedCount: bigint;
}

/** Which dead letters to deliver again. */
export interface RedriveOptions extends CallOptions {
  /** Those of this subscription. Default: of all. */
  readonly subscription?: string | undefined;
  /** Those of these sequences, of the named subscription. At least one; leave it out for all. At most 1,000. */
  readonly sequences?: readonly bigint[] | undefined;
}

const redriveKeys = [
  "subscription",
  "sequences",
  "signal",
  "timeoutMs",
] as const satisfies readonly (keyof RedriveOptions)[];

/** Reads a page of dead letters. */
export async function listDeadLetters(
  { client, caller, coordinationId }: DurableSubscriptionsEnvironment,
  options: ListDeadLettersOptions,
): Promise<DeadLetterPage> {
  const { subscription = "", pageSize, pageToken = "" } = options;
  const request = { coordinationId, subscription, pageSize: countFrom("pageSize", pageSize), pageToken };
  const response = await caller.call((attempt) => client.listDeadLetters(request, attempt), options);
  const { deadLetters, deadLetterCount, droppedCount, nextPageToken } = response;
  return { deadLetters, deadLetterCount, droppedCount, nextPageToken: nextPageToken || undefined };
}

/** Puts dead letters back, as many as fit, and tells how many. */
export async function redriveDeadLetters(
  { client, caller, coordinationId }: DurableSubscriptionsEnvironment,
  options: RedriveOptions,
): Promise<bigint> {
  assertKnownOptions(options, redriveKeys);
  const { subscription = "", sequences } = options;
  // The contract reads an empty list as "all", which is not what a computed list that came out empty means.
  if (sequences?.length === 0) throw invalidOption("sequences is empty, leave it out to redrive all");
  for (const sequence of sequences ?? []) checkSequence("one of sequences", sequence);
  const request = { coordinationId, subscription, sequences: [...(sequences ?? [])] };
  // Repeated, it would find nothing left to put back, and say so: as an error where sequences are named.
  const { redrivenCount } = await caller.callOnce((attempt) => client.redriveDeadLetters(request, attempt), options);
  return redrivenCount;
}
