/** Something that holds a connection, a timer or memory until it is closed. */
export interface OpenResource {
  /** Releases everything. Never rejects; closing again does nothing. */
  close(): Promise<void>;
}

/**
 * What is open at the moment, so that closing the owner releases it. An owner is itself open, for its parent, only while
 * it holds something: sessions that are forgotten cost nothing.
 */
export class OpenResources implements OpenResource {
  readonly #parent: OpenResources | undefined;
  readonly #resources = new Set<OpenResource>();

  constructor(parent?: OpenResources) {
    this.#parent = parent;
  }

  /** How many are open. */
  get size(): number {
    return this.#resources.size;
  }

  /** Takes note of a resource; adding it again does nothing. */
  add(resource: OpenResource): void {
    this.#resources.add(resource);
    this.#parent?.add(this);
  }

  /** Forgets a resource that has closed. */
  remove(resource: OpenResource): void {
    this.#resources.delete(resource);
    if (this.#resources.size === 0) this.#parent?.remove(this);
  }

  /** Closes all. */
  async close(): Promise<void> {
    await Promise.all([...this.#resources].map((resource) => resource.close()));
  }
}
