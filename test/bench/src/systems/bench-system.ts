import type { ExpectedOrder } from "../load/delivery-check.js";
import type { ServerProcess } from "../servers/server-process.js";
import type { SystemClient } from "./system-client.js";

/** What kind of thing is measured: ours, what people would pick instead, what the platform allows. */
export type SystemGroup = "coordination" | "broker" | "limit";

/** How to start a system's server. */
export interface StartOptions {
  /** Arguments for the Node that runs a server written for it, for example to profile it. */
  readonly nodeArguments?: readonly string[];
  /** A data folder to start on again; it stays. Default: an empty one, which goes with the server. */
  readonly directory?: string;
}

/** Something the bench can measure. */
export interface BenchSystem {
  readonly label: string;
  readonly group: SystemGroup;
  /** When it acknowledges, for people to read. */
  readonly acknowledges: string;
  /** What a reader is held to. */
  readonly order: ExpectedOrder;
  /** Whether messages can be read again. */
  readonly keepsLog: boolean;
  /** Whether its server runs on Node, so that it can be profiled. */
  readonly runsOnNode: boolean;
  /** Why it cannot be measured here; undefined when it can. */
  unavailable(): string | undefined;
  /** The server's version. */
  version(): Promise<string>;
  startServer(options?: StartOptions): Promise<ServerProcess>;
  /** Opens nothing yet: connections are made by its senders and readers. */
  connect(url: string): SystemClient;
}
