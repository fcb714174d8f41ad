/** A signal that follows others, until it is released. */
export interface LinkedAbort {
  /** Aborted when `abort` is called or one of the followed signals is aborted, with that one's reason. */
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
  /** Stops following. Must be called when the work is over: followed signals can live long. */
  release(): void;
}

/** Makes a signal that follows the given ones. (`AbortSignal.any` keeps its results alive as long as its sources.) */
export function linkAbort(...sources: readonly (AbortSignal | undefined)[]): LinkedAbort {
  const controller = new AbortController();
  const links: (() => void)[] = [];
  const release = () => {
    for (const unlink of links.splice(0)) unlink();
  };
  const abort = (reason: unknown) => {
    release();
    controller.abort(reason);
  };
  for (const source of sources) {
    if (source === undefined || controller.signal.aborted) continue;
    if (source.aborted) {
      abort(source.reason);
      continue;
    }
    const onAbort = () => abort(source.reason);
    source.addEventListener("abort", onAbort, { once: true });
    links.push(() => source.removeEventListener("abort", onAbort));
  }
  return { signal: controller.signal, abort, release };
}
