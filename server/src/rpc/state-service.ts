import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  StateChangeKind as ChangeKind,
  type CreateSnapshotRequest,
  type ListSnapshotsRequest,
  ListSnapshotsRequestSchema,
  type ListStateChangesRequest,
  ListStateChangesRequestSchema,
  type Snapshot,
  SnapshotSchema,
  type StateChangeSchema,
  type StateService,
} from "@coordination-signals/proto/coordination/v1/state_service";
import { uuidv7 } from "uuidv7";
import { CoordinationError } from "../model/coordination-error.js";
import type { SignalCoordinator } from "../signal-coordinator.js";
import { decodeStateChanges, type StateChange, type StateChangeKind } from "../state/state-change.js";
import { coordinationMessage } from "./coordination-message.js";
import { decodePageToken, encodePageToken, listingOf } from "./page-token.js";
import { pageSizeOf } from "./request-fields.js";
import type { ServiceDependencies } from "./service-dependencies.js";
import { hideInSnapshot } from "./shown-state.js";
import { snapshotMessage } from "./snapshot-message.js";

/** Serves `StateService`. */
export function stateService({ coordinator }: ServiceDependencies): Partial<ServiceImpl<typeof StateService>> {
  return {
    createSnapshot: (request) => createSnapshot(coordinator, request),
    listSnapshots: (request) => listSnapshots(coordinator, request),
    async getSnapshot({ coordinationId, snapshotId }) {
      return { snapshot: await getSnapshot(coordinator, coordinationId, snapshotId) };
    },
    async rollbackCoordination({ coordinationId, toSequence, reason, requestedBy }) {
      const result = await coordinator.rollBack(coordinationId, { toSequence, reason, requestedBy });
      return { coordination: coordinationMessage(result.header), removedSignals: result.removedSignals };
    },
    listStateChanges: (request) => listStateChanges(coordinator, request),
  };
}

async function createSnapshot(coordinator: SignalCoordinator, request: CreateSnapshotRequest) {
  const { coordinationId, label, requestedBy } = request;
  const snapshotId = uuidv7();
  const bytes = await coordinator.createSnapshot(coordinationId, {
    snapshotId,
    label,
    requestedBy,
    make: (session, header, nowMs) =>
      toBinary(
        SnapshotSchema,
        snapshotMessage({
          snapshotId,
          label,
          requestedBy,
          session,
          header,
          nowMs,
          agents: coordinator.agents.of(session),
        }),
      ),
  });
  return { snapshot: shownSnapshot(coordinator, bytes) };
}

async function listSnapshots(coordinator: SignalCoordinator, request: ListSnapshotsRequest) {
  const listing = listingOf(ListSnapshotsRequestSchema, request);
  const [fromKey] = decodePageToken(request.pageToken, listing, 1) ?? [];
  const pageSize = pageSizeOf(request.pageSize);
  const records = await coordinator.readJournal(request.coordinationId, {
    kind: "snapshot",
    fromKey,
    descending: true,
    limit: pageSize + 1,
  });
  const page = records.slice(0, pageSize);
  const last = page.at(-1)?.key ?? "";
  return {
    snapshots: page.map(({ value }) => withoutContents(fromBinary(SnapshotSchema, value))),
    nextPageToken: records.length > pageSize ? encodePageToken(listing, [last]) : "",
  };
}

async function getSnapshot(
  coordinator: SignalCoordinator,
  coordinationId: string,
  snapshotId: string,
): Promise<Snapshot> {
  // The journal is read from behind a key: the one asked for is the first at or before it.
  const records = await coordinator.readJournal(coordinationId, {
    kind: "snapshot",
    fromKey: `${snapshotId}\0`,
    descending: true,
    limit: 1,
  });
  const [found] = records;
  if (found?.key === snapshotId) return shownSnapshot(coordinator, found.value);
  throw new CoordinationError(
    "SNAPSHOT_NOT_FOUND",
    `snapshot "${snapshotId}" of coordination "${coordinationId}" does not exist`,
    { metadata: { snapshot_id: snapshotId } },
  );
}

async function listStateChanges(coordinator: SignalCoordinator, request: ListStateChangesRequest) {
  const listing = listingOf(ListStateChangesRequestSchema, request);
  const [fromKey] = decodePageToken(request.pageToken, listing, 1) ?? [];
  const pageSize = pageSizeOf(request.pageSize);
  const records = await coordinator.readJournal(request.coordinationId, {
    kind: "audit",
    fromKey,
    descending: true,
    limit: pageSize + 1,
  });
  const changes: MessageInitShape<typeof StateChangeSchema>[] = [];
  let last: string | undefined;
  for (const { key, value } of records) {
    if (changes.length >= pageSize) return { changes, nextPageToken: encodePageToken(listing, [last ?? key]) };
    changes.push(...decodeStateChanges(value).toReversed().map(stateChangeMessage));
    last = key;
  }
  return { changes, nextPageToken: "" };
}

const kinds: Readonly<Record<StateChangeKind, ChangeKind>> = {
  signalsAppended: ChangeKind.SIGNALS_APPENDED,
  agentRegistered: ChangeKind.AGENT_REGISTERED,
  agentHeartbeat: ChangeKind.AGENT_HEARTBEAT,
  agentDeregistered: ChangeKind.AGENT_DEREGISTERED,
  historyTrimmed: ChangeKind.HISTORY_TRIMMED,
  snapshotCreated: ChangeKind.SNAPSHOT_CREATED,
  rolledBack: ChangeKind.ROLLED_BACK,
  closed: ChangeKind.CLOSED,
  subscriptionCreated: ChangeKind.SUBSCRIPTION_CREATED,
  subscriptionDeleted: ChangeKind.SUBSCRIPTION_DELETED,
  signalsAcknowledged: ChangeKind.SIGNALS_ACKNOWLEDGED,
  signalsDeadLettered: ChangeKind.SIGNALS_DEAD_LETTERED,
  deadLettersRedriven: ChangeKind.DEAD_LETTERS_REDRIVEN,
};

function stateChangeMessage(change: StateChange): MessageInitShape<typeof StateChangeSchema> {
  return {
    kind: kinds[change.kind],
    changeTime: timestampFromMs(change.timeMs),
    actors: [...change.actors],
    revisionBefore: change.revisionBefore,
    revisionAfter: change.revisionAfter,
    fromSequence: change.sequences?.from ?? 0n,
    throughSequence: change.sequences?.through ?? 0n,
    detail: change.detail,
  };
}

function shownSnapshot({ hidden }: SignalCoordinator, bytes: Uint8Array): Snapshot {
  const snapshot = fromBinary(SnapshotSchema, bytes);
  hideInSnapshot(snapshot, hidden);
  return snapshot;
}

function withoutContents(snapshot: Snapshot): Snapshot {
  const { metrics: _, ...rest } = snapshot;
  return create(SnapshotSchema, { ...rest, agents: [], dependencies: [] });
}
