import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createValidator } from "@bufbuild/protovalidate";
import {
  AgentCompletedSchema,
  AgentInitializedSchema,
  DependencyResolvedSchema,
  InterAgentMessageSchema,
} from "@coordination-signals/proto/coordination/v1/signal";
import {
  type SendSignalRequest,
  SendSignalRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { isPlainSend } from "../../../../server/src/rpc/plain-send.js";
import { number, present, rulesOf, text, texts } from "../../../support/contract-rules.js";
import { fullEnvelope, fullEvents } from "../../../support/sample-signals.js";

const validator = createValidator();

const isValid = (request: SendSignalRequest) => validator.validate(SendSignalRequestSchema, request).kind === "valid";

const request = (parts: object) =>
  create(SendSignalRequestSchema, {
    coordinationId: "c",
    senderAgentId: "a",
    event: { case: "agentCompleted", value: {} },
    ...parts,
  });

const event = fc.oneof(
  fc
    .record({ messageType: text, message: text, responseTimeoutMs: number })
    .map((value) => ({ case: "interAgentMessage", value: present(value) })),
  fc
    .record({ dependencyType: text, dependencyId: text, resolvedBy: text })
    .map((value) => ({ case: "dependencyResolved", value })),
  fc
    .record({
      agentId: text,
      capabilities: texts,
      initializationTimeMs: number,
    })
    .map((value) => ({ case: "agentInitialized", value: present(value) })),
  fc
    .record({
      agentId: text,
      resultSummary: text,
      qualityScore: number,
      executionTimeMs: number,
      artifactsGenerated: texts,
      error: fc.option(text, { nil: undefined }),
    })
    .map((value) => ({ case: "agentCompleted", value: present(value) })),
  fc.constant({ case: undefined }),
);
const metadata = fc.oneof(
  fc.dictionary(text, text, { maxKeys: 3 }),
  fc
    .constantFrom(64, 65)
    .map((count) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, "v"]))),
);
/** Most of a request is plain, so that what is not decides. */
const parts = fc
  .record(
    {
      coordinationId: text,
      senderAgentId: text,
      recipientAgentIds: texts,
      priority: fc.constantFrom(-1, 0, 1, 4, 5),
      correlationId: text,
      metadata,
      requestId: text,
      expectedSequence: fc.constantFrom(0n, 1n, 2n ** 63n - 1n, 2n ** 63n),
      requiredAcks: fc.oneof({ weight: 9, arbitrary: fc.constant([]) }, texts),
      ackTimeout: fc.oneof(
        { weight: 9, arbitrary: fc.constant(undefined) },
        fc.constantFrom(durationFromMs(0), durationFromMs(5)),
      ),
      event,
    },
    { requiredKeys: [] },
  )
  .map(present);

describe("isPlainSend", () => {
  test("says so of nothing that the contract's rules refuse", () => {
    let plain = 0;
    fc.assert(
      fc.property(parts, (random) => {
        const made = request(random);
        if (!isPlainSend(made)) return;
        plain += 1;
        expect(validator.validate(SendSignalRequestSchema, made)).toMatchObject({ kind: "valid" });
      }),
      { numRuns: 3_000 },
    );
    // A check that says no to everything would pass.
    expect(plain).toBeGreaterThan(100);
  });

  test("says so of what agents send", () => {
    for (const each of Object.values(fullEvents)) {
      const made = request({ ...fullEnvelope, event: each });
      expect(isValid(made)).toBe(true);
      expect(isPlainSend(made)).toBe(true);
    }
  });

  test("leaves a field that this server does not know to those who look closely", () => {
    const unknown = [{ no: 99, wireType: 0, data: Uint8Array.of(1) }];
    const own = request({});
    own.$unknown = unknown;
    expect(isPlainSend(own)).toBe(false);
    const held = request({});
    if (held.event.case === "agentCompleted") held.event.value.$unknown = unknown;
    expect(isPlainSend(held)).toBe(false);
  });

  // Whoever changes a rule has to change the quick check with it, and then this list.
  test("knows these rules", () => {
    const schemas = [
      SendSignalRequestSchema,
      AgentInitializedSchema,
      AgentCompletedSchema,
      DependencyResolvedSchema,
      InterAgentMessageSchema,
    ];
    expect(rulesOf(schemas)).toMatchInlineSnapshot(`
     [
       "SendSignalRequest.coordination_id {"string":{"minLen":"1","maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"}}",
       "SendSignalRequest.sender_agent_id {"string":{"minLen":"1","maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"}}",
       "SendSignalRequest.recipient_agent_ids {"repeated":{"maxItems":"1000","unique":true,"items":{"string":{"minLen":"1","maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"}}}}",
       "SendSignalRequest.priority {"enum":{"definedOnly":true}}",
       "SendSignalRequest.correlation_id {"string":{"maxLen":"200"}}",
       "SendSignalRequest.metadata {"map":{"maxPairs":"64","keys":{"string":{"minLen":"1","maxLen":"200"}},"values":{"string":{"maxLen":"4096"}}}}",
       "SendSignalRequest.request_id {"string":{"maxLen":"128","pattern":"^[\\\\x20-\\\\x7e]+$"},"ignore":"IGNORE_IF_ZERO_VALUE"}",
       "SendSignalRequest.expected_sequence {"uint64":{"lte":"9223372036854775807"}}",
       "SendSignalRequest.required_acks {"repeated":{"maxItems":"64","unique":true,"items":{"string":{"minLen":"1","maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"}}}}",
       "SendSignalRequest.ack_timeout {"duration":{"lte":"3600s","gte":"0.001s"}}",
       "SendSignalRequest.agent_initialized {}",
       "SendSignalRequest.agent_completed {}",
       "SendSignalRequest.dependency_resolved {}",
       "SendSignalRequest.inter_agent_message {}",
       "SendSignalRequest.event {"required":true}",
       "AgentInitialized.agent_id {"string":{"maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"},"ignore":"IGNORE_IF_ZERO_VALUE"}",
       "AgentInitialized.capabilities {"repeated":{"maxItems":"128","items":{"string":{"minLen":"1","maxLen":"200"}}}}",
       "AgentInitialized.ready {}",
       "AgentInitialized.initialization_time_ms {"double":{"gte":0,"finite":true}}",
       "AgentCompleted.agent_id {"string":{"maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"},"ignore":"IGNORE_IF_ZERO_VALUE"}",
       "AgentCompleted.result_summary {"string":{"maxBytes":"4194304"}}",
       "AgentCompleted.quality_score {"double":{"lte":1,"gte":0}}",
       "AgentCompleted.execution_time_ms {"double":{"gte":0,"finite":true}}",
       "AgentCompleted.artifacts_generated {"repeated":{"maxItems":"1000","items":{"string":{"minLen":"1","maxLen":"1024"}}}}",
       "AgentCompleted.error {"string":{"maxBytes":"4194304"}}",
       "DependencyResolved.dependency_type {"string":{"minLen":"1","maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"}}",
       "DependencyResolved.dependency_id {"string":{"minLen":"1","maxLen":"200","pattern":"^[^\\\\x00-\\\\x1f\\\\x7f]*$"}}",
       "DependencyResolved.resolved_by {"string":{"maxLen":"200","pattern":"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"},"ignore":"IGNORE_IF_ZERO_VALUE"}",
       "DependencyResolved.resolution_data {}",
       "InterAgentMessage.message_type {"string":{"maxLen":"200"}}",
       "InterAgentMessage.message {"string":{"maxBytes":"4194304"}}",
       "InterAgentMessage.requires_response {}",
       "InterAgentMessage.response_timeout_ms {"double":{"gt":0,"finite":true}}",
       "InterAgentMessage.payload {}",
     ]
    `);
  });
});
