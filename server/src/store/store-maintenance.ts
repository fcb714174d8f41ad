/** What the doctor found in a store. */
export interface InspectionReport {
  /** The store's URL, without secrets. */
  readonly store: string;
  /** What the store promises, as (name, meaning) for people. */
  readonly guarantees: readonly (readonly [name: string, meaning: string])[];
  readonly rowCount: number;
  readonly coordinations: readonly InspectedCoordination[];
  /** What is wrong, in sentences; empty when the store is sound. At most 1,000 of them. */
  readonly damages: readonly string[];
}

/** One coordination as the doctor found it. */
export interface InspectedCoordination {
  readonly coordinationId: string;
  readonly epoch: string;
  readonly headSequence: bigint;
  readonly oldestSequence: bigint;
  readonly signalCount: number;
  readonly journalRecordCount: number;
}

/** Work on a store while no server serves from it, or beside one that does. */
export interface StoreMaintenance {
  /** Reads everything and changes nothing; may run beside a server. `onProgress` is told of rows read, now and then. */
  inspect(onProgress: (rowCount: number) => void): Promise<InspectionReport>;
  /** Copies the store as it is at one moment into a new directory; may run beside a server. */
  backup(directory: string): Promise<void>;
  /**
   * Gives every coordination a new epoch, so that no cursor from before can be taken for one of what is there now. Answers
   * how many there are. No server may run on the store.
   */
  renewEpochs(): Promise<number>;
  /** Fills a store that does not exist yet from a backup, with new epochs. Answers how many coordinations there are. */
  restore(backupDirectory: string): Promise<number>;
}
