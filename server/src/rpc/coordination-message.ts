import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Coordination,
  CoordinationSchema,
  CoordinationState,
  type Dependency,
  DependencySchema,
} from "@coordination-signals/proto/coordination/v1/coordination";
import type { DependencyRecord } from "../state/dependency-record.js";
import type { CoordinationHeader } from "../store/signal-store.js";
import { optionalTimestamp } from "./request-fields.js";

/** A coordination as the contract shows it. */
export function coordinationMessage(header: CoordinationHeader): Coordination {
  const lastSignalTime = optionalTimestamp(header.lastSignalTimeMs);
  const closeTime = optionalTimestamp(header.closeTimeMs);
  return create(CoordinationSchema, {
    coordinationId: header.coordinationId,
    epoch: header.epoch,
    state: header.closeTimeMs === undefined ? CoordinationState.OPEN : CoordinationState.CLOSED,
    headSequence: header.headSequence,
    oldestSequence: header.oldestSequence,
    revision: header.revision,
    createTime: timestampFromMs(header.createTimeMs),
    ...(lastSignalTime && { lastSignalTime }),
    ...(closeTime && { closeTime }),
    closeReason: header.closeReason,
    generation: header.generation,
  });
}

/** A resolved dependency as the contract shows it. */
export function dependencyMessage(record: DependencyRecord): Dependency {
  return create(DependencySchema, {
    dependencyType: record.dependencyType,
    dependencyId: record.dependencyId,
    resolvedBy: record.resolvedBy,
    sequence: BigInt(record.sequence),
    resolveTime: timestampFromMs(record.resolveTimeMs),
  });
}
