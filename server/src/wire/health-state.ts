import { HealthCheckResponse_ServingStatus as ServingStatus } from "@coordination-signals/proto/grpc/health/v1/health";

/**
 * Whether the server serves, as a whole (the empty name) and for each service by name. Watchers are told of changes by a
 * level: they read the present status, so one that is slow sees the latest and never a queue of old ones.
 */
export class HealthState {
  readonly #services: readonly string[];
  readonly #waiting = new Set<() => void>();
  #status = ServingStatus.NOT_SERVING;
  #ended = false;

  /** `services` are the full names that can be asked for. Nothing is served before `setServing(true)`. */
  constructor(services: readonly string[]) {
    this.#services = ["", ...services];
  }

  /** Whether `end` was called: watches end, and the status stays. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The names that can be asked for; the empty one stands for the whole server. */
  get services(): readonly string[] {
    return this.#services;
  }

  /** Status of a service, or `undefined` for a name that does not exist here. */
  status(service: string): ServingStatus | undefined {
    return this.#services.includes(service) ? this.#status : undefined;
  }

  /** Changes the status of every service and tells the watchers. */
  setServing(serving: boolean): void {
    this.#status = serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
    this.#wake();
  }

  /** Ends every watch, once its watcher has been sent the present status. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Resolves at the next change or when `signal` aborts, whichever is first. */
  changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}
