/** A dependency's last resolution. */
export interface DependencyRecord {
  readonly dependencyType: string;
  readonly dependencyId: string;
  readonly resolvedBy: string;
  /** The signal that resolved it, in decimal. */
  readonly sequence: string;
  readonly resolveTimeMs: number;
}

/** Names a dependency in the journal. A type has no line break, so two dependencies never share a key. */
export function dependencyKey(dependencyType: string, dependencyId: string): string {
  return `${dependencyType}\n${dependencyId}`;
}
