/** A real port on a free number, with health and reflection as its services and a log that is kept in memory. */
import { HealthState } from "../../server/src/wire/health-state.js";
import { openPort, type Port, type PortOptions } from "../../server/src/wire/port.js";
import { defaultPortLimits, type PortLimits } from "../../server/src/wire/port-limits.js";

/** A port under test. `await using` drains it at once and fails when something is left open. */
export interface TestPort extends AsyncDisposable {
  readonly port: Port;
  readonly health: HealthState;
  /** What the port logged, as `level message`. */
  readonly log: readonly string[];
}

/** Options of a port under test; what is not given is the least that works. */
export type TestPortOptions = Partial<Omit<PortOptions, "limits">> & { readonly limits?: Partial<PortLimits> };

/** Opens a port on 127.0.0.1 that serves health (SERVING) and whatever else `options` say. */
export async function openTestPort(options: TestPortOptions = {}): Promise<TestPort> {
  const log: string[] = [];
  const health = options.health ?? new HealthState([]);
  health.setServing(true);
  const port = await openPort({
    host: "127.0.0.1",
    port: 0,
    routes: () => {},
    services: [],
    version: "0.0.0-test",
    isReady: () => true,
    renderMetrics: async () => ({ contentType: "text/plain; version=0.0.4", body: "metric 1\n" }),
    logger: keepingLogger(log),
    ...options,
    health,
    limits: { ...defaultPortLimits, ...options.limits },
  });
  return {
    port,
    health,
    log,
    [Symbol.asyncDispose]: async () => {
      await port.drain({ graceMs: 0 });
      if (port.connectionCount() + port.callCount() > 0) throw new Error("connections or calls were left open");
    },
  };
}

function keepingLogger(log: string[]): PortOptions["logger"] {
  const keep = (level: string) => (_fields: unknown, message: string) => void log.push(`${level} ${message}`);
  return { debug: keep("debug"), info: keep("info"), warn: keep("warn"), error: keep("error") };
}
