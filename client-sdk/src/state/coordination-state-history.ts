import type { Client } from "@connectrpc/connect";
import type { Coordination } from "@coordination-signals/proto/coordination/v1/coordination";
import type { Snapshot, StateChange, StateService } from "@coordination-signals/proto/coordination/v1/state_service";
import type { Caller, CallOptions } from "../calls/caller.js";
import { InternalError } from "../errors/coordination-client-error.js";
import { checkSequence } from "../options/check-sequence.js";
import { countFrom } from "../options/count-from.js";
import { type Page, readPages } from "../read-pages.js";

/** What state is read and changed with. */
export interface StateEnvironment {
  readonly client: Client<typeof StateService>;
  readonly caller: Caller;
  readonly coordinationId: string;
  /** Who asks, for the audit; empty where nobody says. */
  readonly requestedBy: string;
}

/** How a snapshot is made. */
export interface SnapshotOptions extends CallOptions {
  /** What it is for, for people to read. At most 200 characters. */
  readonly label?: string | undefined;
}

/** How a rollback is made. */
export interface RollbackOptions extends CallOptions {
  /** Why, for the audit. At most 1,024 characters. */
  readonly reason?: string | undefined;
}

/** How pages are read. */
export interface StatePageOptions extends CallOptions {
  /** Items in one page, from 1 to 1,000. Default 100. */
  readonly pageSize?: number | undefined;
}

/** What a rollback did. */
export interface RollbackResult {
  readonly coordination: Coordination;
  /** How many numbers left the log; 0 when `toSequence` was its head. */
  readonly removedSignals: bigint;
}

/** A coordination's state with its versions: snapshots, the audit trail, and the way back. */
export class CoordinationStateHistory {
  readonly #environment: StateEnvironment;

  constructor(environment: StateEnvironment) {
    this.#environment = environment;
  }

  /** Keeps the state as it is now, durably. A coordination keeps its last 100 snapshots. Throws NotFoundError. */
  async createSnapshot(options: SnapshotOptions = {}): Promise<Snapshot> {
    const { client, caller, coordinationId, requestedBy } = this.#environment;
    const request = { coordinationId, requestedBy, label: options.label ?? "" };
    const { snapshot } = await caller.call((attempt) => client.createSnapshot(request, attempt), options);
    return present(snapshot, "snapshot");
  }

  /** Reads one snapshot whole. Throws NotFoundError. */
  async snapshot(snapshotId: string, options: CallOptions = {}): Promise<Snapshot> {
    const { client, caller, coordinationId } = this.#environment;
    const { snapshot } = await caller.call(
      (attempt) => client.getSnapshot({ coordinationId, snapshotId }, attempt),
      options,
    );
    return present(snapshot, "snapshot");
  }

  /** Hands out the snapshots, the newest first, without their agents, dependencies and metrics. Throws NotFoundError. */
  async *snapshots(options: StatePageOptions = {}): AsyncGenerator<Snapshot, void, undefined> {
    const { client, caller, coordinationId } = this.#environment;
    const readPage = async (pageToken: string) => {
      const request = { coordinationId, pageToken, pageSize: countFrom("pageSize", options.pageSize) };
      return pageOf(await caller.call((attempt) => client.listSnapshots(request, attempt), options));
    };
    for await (const { snapshots } of readPages(readPage)) yield* snapshots;
  }

  /** Hands out the audit trail, the newest change first. Throws NotFoundError. */
  async *changes(options: StatePageOptions = {}): AsyncGenerator<StateChange, void, undefined> {
    const { client, caller, coordinationId } = this.#environment;
    const readPage = async (pageToken: string) => {
      const request = { coordinationId, pageToken, pageSize: countFrom("pageSize", options.pageSize) };
      return pageOf(await caller.call((attempt) => client.listStateChanges(request, attempt), options));
    };
    for await (const { changes } of readPages(readPage)) yield* changes;
  }

  /**
   * Takes the signals after a sequence out of the log and undoes what they had decided. Numbers are not used again;
   * subscriptions beyond it end with OutOfRangeError (ROLLED_BACK). Not repeated when its answer is lost, because signals
   * may have come since: look at the coordination and decide. Throws OutOfRangeError, NotFoundError, OverloadedError.
   */
  async rollBack(toSequence: bigint, options: RollbackOptions = {}): Promise<RollbackResult> {
    const { client, caller, coordinationId, requestedBy } = this.#environment;
    checkSequence("toSequence", toSequence);
    const request = { coordinationId, toSequence, requestedBy, reason: options.reason ?? "" };
    const response = await caller.callOnce((attempt) => client.rollbackCoordination(request, attempt), options);
    return {
      coordination: present(response.coordination, "coordination"),
      removedSignals: response.removedSignals,
    };
  }
}

function pageOf<Response extends { readonly nextPageToken: string }>(response: Response): Response & Page {
  return {
    ...response,
    nextPageToken: response.nextPageToken === "" ? undefined : response.nextPageToken,
  } as Response & Page;
}

function present<T>(value: T | undefined, name: string): T {
  if (value !== undefined) return value;
  throw new InternalError({ message: `the answer has no ${name}`, reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
}
