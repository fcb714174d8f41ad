import type { CoordinationClientError } from "../errors/coordination-client-error.js";
import { amountRule, boundRule, checkNumber, endlessRule } from "../options/check-number.js";

/** How often and how fast a call that failed for want of a server is repeated. */
export interface RetryOptions {
  /** Attempts in all, the first included; at least 1. Default 12. 1 turns repeating off. With `baseUrls`: at each address. */
  readonly maxAttempts?: number | undefined;
  /** No attempt begins later than this after the first one, in milliseconds. Default 60,000. */
  readonly maxElapsedMs?: number | undefined;
  /**
   * Wait before the second attempt, in milliseconds, before jitter; doubles each time. Default 100. With `baseUrls` the next
   * address is tried at once, and the wait comes after each round of the list.
   */
  readonly initialDelayMs?: number | undefined;
  /** The longest wait between two attempts, in milliseconds, unless the server asks for more. Default 5,000. */
  readonly maxDelayMs?: number | undefined;
}

/** The options with their defaults filled in. */
export interface RetryPolicy {
  readonly maxAttempts: number;
  readonly maxElapsedMs: number;
  readonly initialDelayMs: number;
  readonly maxDelayMs: number;
  /** Addresses that attempts go to one after the other; at least 1. */
  readonly addressCount: number;
}

/** What has happened to a call so far. */
export interface RetryState {
  /** Attempts made. */
  readonly attempts: number;
  /** Milliseconds since the first attempt began. */
  readonly elapsedMs: number;
}

/** Fills in the defaults. Throws InvalidRequestError. */
export function retryPolicyFrom(options: RetryOptions = {}, addressCount = 1): RetryPolicy {
  checkNumber("maxAttempts", options.maxAttempts, boundRule);
  checkNumber("maxElapsedMs", options.maxElapsedMs, endlessRule);
  checkNumber("initialDelayMs", options.initialDelayMs, amountRule);
  checkNumber("maxDelayMs", options.maxDelayMs, endlessRule);
  return {
    maxAttempts: options.maxAttempts ?? 12,
    maxElapsedMs: options.maxElapsedMs ?? 60_000,
    initialDelayMs: options.initialDelayMs ?? 100,
    maxDelayMs: options.maxDelayMs ?? 5_000,
    addressCount,
  };
}

/**
 * Says how long to wait before the next attempt, in milliseconds, or `undefined` when there must be none: the error is
 * not one to repeat after, or the limits are reached. `random` is from 0 to 1.
 */
export function retryDelayMs(
  policy: RetryPolicy,
  error: CoordinationClientError,
  state: RetryState,
  random: number,
): number | undefined {
  if (!error.retryable || state.attempts >= maxAttemptsInAll(policy)) return undefined;
  const delayMs = nextAttemptDelayMs(policy, { error, attempts: state.attempts }, random);
  return state.elapsedMs + delayMs > policy.maxElapsedMs ? undefined : delayMs;
}

/** How attempts have failed so far. */
export interface FailedAttempts {
  /** How the last one failed. */
  readonly error: CoordinationClientError;
  readonly attempts: number;
}

/**
 * Says how long to wait before the next attempt, whatever the limits, in milliseconds. An address that does not serve is no
 * reason to wait before the next one is tried; that all have failed is.
 */
export function nextAttemptDelayMs(policy: RetryPolicy, { error, attempts }: FailedAttempts, random: number): number {
  if (error.code === "UNAVAILABLE" && attempts % policy.addressCount !== 0) return 0;
  const rounds = Math.ceil(attempts / policy.addressCount);
  return backoffMs(policy, rounds, random) + (error.retryDelayMs ?? 0);
}

// Several addresses must not be given up sooner than one; that repeating is off holds for them too.
function maxAttemptsInAll({ maxAttempts, addressCount }: RetryPolicy): number {
  return maxAttempts === 1 ? 1 : maxAttempts * addressCount;
}

/** Exponential backoff with jitter over its upper half, so that clients that lost one server do not return as one. */
export function backoffMs(policy: RetryPolicy, attempts: number, random: number): number {
  const fullMs = Math.min(policy.maxDelayMs, policy.initialDelayMs * 2 ** Math.min(attempts - 1, 30));
  return fullMs * (0.5 + 0.5 * random);
}
