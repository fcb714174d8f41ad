import { defaultRedaction } from "../limits.js";
import type { CompiledTransform } from "./signal-transform.js";

/*
 * A coordination's state keeps some of what signals say, as it was sent: it is what waits are decided by. Where it is shown there
 * is no signal any more that could be transformed, or one that has left the history. So a value of it is shown as it is only if the
 * server's transform leaves the field alone from which it came.
 */

/** Which values that the state takes from signals the server keeps back. */
export interface HiddenValues {
  readonly capabilities: boolean;
  readonly error: boolean;
  readonly qualityScore: boolean;
  readonly dependencyType: boolean;
  readonly dependencyId: boolean;
  readonly resolvedBy: boolean;
}

/** What a server keeps back that hands out signals so; undefined hands them out as they are. */
export function hiddenValuesOf(outgoing: CompiledTransform | undefined): HiddenValues {
  const isHidden = outgoing === undefined ? () => false : outgoing.changes;
  return {
    capabilities: isHidden("agentInitialized", "capabilities"),
    error: isHidden("agentCompleted", "error"),
    qualityScore: isHidden("agentCompleted", "qualityScore"),
    dependencyType: isHidden("dependencyResolved", "dependencyType"),
    dependencyId: isHidden("dependencyResolved", "dependencyId"),
    resolvedBy: isHidden("dependencyResolved", "resolvedBy"),
  };
}

/** A text of the state as it may be shown. */
export function shownText(text: string, isHidden: boolean): string {
  return isHidden ? defaultRedaction : text;
}
