import type { MessageInitShape } from "@bufbuild/protobuf";
import { Priority } from "@coordination-signals/proto/coordination/v1/signal";
import type { SendSignalRequestSchema } from "@coordination-signals/proto/coordination/v1/signal_service";

/** A request to send a signal, as a client gives it. */
export type SignalInit = MessageInitShape<typeof SendSignalRequestSchema>;

let coordinations = 0;

/** A coordination id that no other test of this file uses. */
export function newCoordinationId(): string {
  coordinations += 1;
  return `coordination-${coordinations}`;
}

/** A message from "sender" to everyone. */
export function note(coordinationId: string, message = "hello", overrides: Partial<SignalInit> = {}): SignalInit {
  return {
    coordinationId,
    senderAgentId: "sender",
    event: { case: "interAgentMessage", value: { messageType: "note", message } },
    ...overrides,
  } as SignalInit;
}

/** Notes with the messages "1", "2" and so on. */
export function notes(coordinationId: string, count: number, overrides: Partial<SignalInit> = {}): SignalInit[] {
  return Array.from({ length: count }, (_, index) => note(coordinationId, String(index + 1), overrides));
}

/** One event of each type with every field of the contract set, by the name of its case. */
export const fullEvents = {
  agentInitialized: {
    case: "agentInitialized",
    value: {
      agentId: "model-generator",
      capabilities: ["pydantic_models", "type_hints"],
      ready: true,
      initializationTimeMs: 45.3,
    },
  },
  agentCompleted: {
    case: "agentCompleted",
    value: {
      agentId: "model-generator",
      resultSummary: "generated 5 models",
      qualityScore: 0.95,
      executionTimeMs: 1234.5,
      artifactsGenerated: ["models/user.py", "models/post.py"],
      error: "one of them does not compile",
    },
  },
  dependencyResolved: {
    case: "dependencyResolved",
    value: {
      dependencyType: "model",
      dependencyId: "UserModel, revised (ü)",
      resolvedBy: "contract-parser",
      resolutionData: { file_path: "models/user.py", schema: { fields: ["id", 1, null, true, 0.5], nested: {} } },
    },
  },
  interAgentMessage: {
    case: "interAgentMessage",
    value: {
      messageType: "request",
      message: "need a validator for UserModel",
      requiresResponse: true,
      responseTimeoutMs: 5000,
      payload: { model_name: "UserModel", "": [[], [{}]] },
    },
  },
} as const satisfies Record<string, SignalInit["event"]>;

/** What every signal can carry beside its event, every field set. */
export const fullEnvelope = {
  senderAgentId: "model-generator",
  recipientAgentIds: ["validator-generator", "test-runner"],
  priority: Priority.HIGH,
  correlationId: "0190b8a0-0000-7000-8000-000000000001",
  metadata: { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", größe: "5 µm\n" },
  requestId: "request 1",
} satisfies Partial<SignalInit>;
