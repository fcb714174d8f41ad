import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { type SignalFilter, SignalFilterSchema } from "@coordination-signals/proto/coordination/v1/signal";
import type { FilterExpressionCompiler } from "../model/filter-expression.js";
import type { LogEntry } from "../model/log-entry.js";
import { type CompiledFilter, compileSignalFilter } from "../model/signal-filter.js";

/**
 * The first part of a filter, which is encoded in base64, that does not match a signal, by its name; undefined when all do. Throws
 * FILTER_BUDGET_EXCEEDED.
 */
export function failedFilterPart(
  filter: string,
  { signal }: LogEntry,
  expressions: FilterExpressionCompiler,
): string | undefined {
  const message = fromBinary(SignalFilterSchema, Buffer.from(filter, "base64"));
  for (const [name, part] of partsOf(message)) {
    const alone: CompiledFilter = compileSignalFilter(create(SignalFilterSchema, part), expressions);
    if (!alone.matches(signal)) return name;
  }
  return undefined;
}

type FilterPart = MessageInitShape<typeof SignalFilterSchema>;

function partsOf(filter: SignalFilter): readonly (readonly [name: string, part: FilterPart])[] {
  const { signalTypes, senderAgentIds, minPriority, metadata, afterTime, beforeTime, expression } = filter;
  return [
    ["signal_types", { signalTypes }],
    ["min_priority", { minPriority }],
    ...(afterTime === undefined ? [] : [["after_time", { afterTime }] as const]),
    ...(beforeTime === undefined ? [] : [["before_time", { beforeTime }] as const]),
    ["sender_agent_ids", { senderAgentIds }],
    ...Object.entries(metadata).map(([key, value]) => [`metadata.${key}`, { metadata: { [key]: value } }] as const),
    ["expression", { expression }],
  ];
}
