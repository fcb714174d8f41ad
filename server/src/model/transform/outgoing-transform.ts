import { CoordinationError } from "../coordination-error.js";
import type { LogEntry } from "../log-entry.js";
import { compileReadMask } from "./read-mask.js";
import { type CompiledTransform, entryWith } from "./signal-transform.js";

/**
 * Makes of several transforms the one through which every signal leaves the server. Each signal goes through it once,
 * however many readers get it. Where it cannot be applied, all that the signal says is kept back: it must not leave as it is,
 * and one signal must not end everybody's subscription.
 *
 * @param onWithheld told of each signal of which all was kept back
 */
export function outgoingTransform(
  transforms: readonly CompiledTransform[],
  onWithheld: (entry: LogEntry, error: CoordinationError) => void,
): CompiledTransform {
  const made = new WeakMap<LogEntry, LogEntry>();
  const withoutContent = compileReadMask([]);
  const apply = (entry: LogEntry): LogEntry => {
    try {
      return transforms.reduce((changed, transform) => transform.apply(changed), entry);
    } catch (error) {
      if (!(error instanceof CoordinationError)) throw error;
      onWithheld(entry, error);
      return entryWith(entry, withoutContent(entry.signal));
    }
  };
  return {
    turns: transforms.find(({ turns }) => turns !== undefined)?.turns,
    apply(entry) {
      const known = made.get(entry);
      if (known !== undefined) return known;
      const handedOut = apply(entry);
      made.set(entry, handedOut);
      return handedOut;
    },
    changes: (event, field) => transforms.some((transform) => transform.changes(event, field)),
  };
}
