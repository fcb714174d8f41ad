/** Servers that keep the same coordinations; whoever uses them can use any. */
export interface FaultServers {
  readonly urls: readonly string[];
  /** Waits until one of them is there to be used. Rejects when one has ended by itself, or none will be there again. */
  whenUp(): Promise<void>;
}
