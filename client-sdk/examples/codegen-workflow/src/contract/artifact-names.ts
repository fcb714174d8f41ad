import { createHash } from "node:crypto";

const maxNameLength = 80;

/**
 * Gives each event type a name for its files: letters, digits, `_` and `-`, unique also where file systems ignore case.
 * A name that had to be changed ends in a digest of the event type, so that it depends on nothing but the event types.
 */
export function artifactNames(eventTypes: readonly string[]): ReadonlyMap<string, string> {
  const byLowerCase = new Map<string, number>();
  for (const eventType of eventTypes) {
    const key = eventType.toLowerCase();
    byLowerCase.set(key, (byLowerCase.get(key) ?? 0) + 1);
  }
  return new Map(
    eventTypes.map((eventType) => [
      eventType,
      byLowerCase.get(eventType.toLowerCase()) === 1 && isPlainName(eventType) ? eventType : nameWithDigest(eventType),
    ]),
  );
}

function isPlainName(eventType: string): boolean {
  return (
    /^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(eventType) && eventType.length <= maxNameLength && !looksDigested(eventType)
  );
}

/** A plain name that looks like a changed one could meet it. */
function looksDigested(eventType: string): boolean {
  return /-[0-9a-f]{8}$/i.test(eventType);
}

function nameWithDigest(eventType: string): string {
  const digest = createHash("sha256").update(eventType).digest("hex").slice(0, 8);
  const readable = eventType
    .replace(/[^A-Za-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, maxNameLength);
  return `${readable === "" ? "contract" : readable}-${digest}`;
}
