import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type CoordinationSignal, CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import {
  contractData,
  generatedData,
  type ResolvedContract,
} from "../../../../client-sdk/examples/codegen-workflow/src/workflow/resolution.js";

type SignalInit = Exclude<MessageInitShape<typeof CoordinationSignalSchema>, CoordinationSignal>;

/** A contract as the parser resolves it. */
export const starContract: ResolvedContract = {
  eventType: "star",
  path: "contracts/star.schema.json",
  sha256: "c0ffee",
  pointer: "#/definitions/star_event",
  typeName: "star_event",
  artifactName: "star",
  payloadCount: 2,
  payloads: { path: "payloads/star.json", sha256: "beef" },
};

/** Makes the signals of a log: each gets the next sequence, and is accepted 100 ms after the one before. */
export class SignalSource {
  #sequence = 0n;

  of(senderAgentId: string, init: SignalInit): CoordinationSignal {
    this.#sequence += 1n;
    return create(CoordinationSignalSchema, {
      signalId: `signal-${this.#sequence}`,
      sequence: this.#sequence,
      senderAgentId,
      timestamp: { seconds: 1_700_000_000n, nanos: Number(this.#sequence) * 100_000_000 },
      ...init,
    });
  }

  initialized(senderAgentId: string, ...capabilities: readonly string[]): CoordinationSignal {
    return this.of(senderAgentId, { event: { case: "agentInitialized", value: { capabilities: [...capabilities] } } });
  }

  completed(senderAgentId: string, error?: string): CoordinationSignal {
    const value = { resultSummary: "done\nin detail", qualityScore: 0.9999, ...(error !== undefined && { error }) };
    return this.of(senderAgentId, { event: { case: "agentCompleted", value } });
  }

  contract(contract: ResolvedContract = starContract): CoordinationSignal {
    return this.dependency("contract-parser", "contract", contract.eventType, contractData(contract));
  }

  generated(senderAgentId: string, dependencyType: string, dependencyId: string): CoordinationSignal {
    const artifact = { path: `${dependencyType}s/x`, sha256: "abc", contractSha256: "c0ffee" };
    return this.dependency(senderAgentId, dependencyType, dependencyId, generatedData(artifact));
  }

  dependency(
    senderAgentId: string,
    dependencyType: string,
    dependencyId: string,
    resolutionData: ReturnType<typeof contractData>,
  ): CoordinationSignal {
    const value = { dependencyType, dependencyId, resolutionData };
    return this.of(senderAgentId, { event: { case: "dependencyResolved", value } });
  }

  message(senderAgentId: string, recipient: string, init: SignalInit): CoordinationSignal {
    return this.of(senderAgentId, { recipientAgentIds: [recipient], ...init });
  }
}
