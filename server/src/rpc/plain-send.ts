import type { SendSignalRequest } from "@coordination-signals/proto/coordination/v1/signal_service";
import { areIds, isId, isName, maxIdLength } from "./plain-names.js";

/*
 * The validator that reads the contract's rules takes several times as long as everything else that is done with a signal.
 * Nearly all requests keep the rules, and keep them plainly: this says so for them, and of the others nothing. Invariant: it is
 * never more lenient than the rules. Lengths in UTF-16 units, which it counts, are never below those in characters.
 */

const requestIdPattern = /^[\x20-\x7e]+$/;
const maxRequestIdLength = 128;
const maxRecipients = 16;
const maxMetadataPairs = 64;
const maxMetadataKeyLength = 200;
const maxMetadataValueLength = 4_096;
const maxCapabilities = 128;
const maxArtifacts = 1_000;
const maxArtifactLength = 1_024;
/** Three bytes of UTF-8 for each stay below the 4 MiB of the rule. */
const maxTextLength = 1_000_000;
const maxPriority = 4;
const maxSequence = 2n ** 63n - 1n;

/** Whether a request keeps every rule of the contract for certain. False says that it has to be looked at closely. */
export function isPlainSend(request: SendSignalRequest): boolean {
  return (
    request.$unknown === undefined &&
    isId(request.coordinationId) &&
    isId(request.senderAgentId) &&
    areIds(request.recipientAgentIds, maxRecipients) &&
    request.priority >= 0 &&
    request.priority <= maxPriority &&
    request.correlationId.length <= maxIdLength &&
    isMetadata(request.metadata) &&
    isRequestId(request.requestId) &&
    (request.expectedSequence === undefined || request.expectedSequence <= maxSequence) &&
    request.requiredAcks.length === 0 &&
    request.ackTimeout === undefined &&
    isEvent(request.event)
  );
}

function isEvent(event: SendSignalRequest["event"]): boolean {
  if (event.case === undefined || event.value.$unknown !== undefined) return false;
  switch (event.case) {
    case "interAgentMessage": {
      const { messageType, message, responseTimeoutMs: timeoutMs } = event.value;
      return messageType.length <= maxIdLength && isText(message) && (timeoutMs === undefined || isPositive(timeoutMs));
    }
    case "dependencyResolved": {
      const { dependencyType, dependencyId, resolvedBy } = event.value;
      return isId(dependencyType) && isName(dependencyId) && isIdOrEmpty(resolvedBy);
    }
    case "agentInitialized": {
      const { agentId, capabilities, initializationTimeMs } = event.value;
      return (
        isIdOrEmpty(agentId) && areTexts(capabilities, maxCapabilities, maxIdLength) && isDuration(initializationTimeMs)
      );
    }
    case "agentCompleted": {
      const { agentId, resultSummary, qualityScore, executionTimeMs, artifactsGenerated, error } = event.value;
      return (
        isIdOrEmpty(agentId) &&
        isText(resultSummary) &&
        (qualityScore === undefined || (qualityScore >= 0 && qualityScore <= 1)) &&
        isDuration(executionTimeMs) &&
        areTexts(artifactsGenerated, maxArtifacts, maxArtifactLength) &&
        (error === undefined || isText(error))
      );
    }
  }
}

function isIdOrEmpty(text: string): boolean {
  return text === "" || isId(text);
}

function isRequestId(text: string): boolean {
  return text === "" || (text.length <= maxRequestIdLength && requestIdPattern.test(text));
}

function isText(text: string): boolean {
  return text.length <= maxTextLength;
}

function isPositive(value: number): boolean {
  return value > 0 && Number.isFinite(value);
}

function isDuration(value: number | undefined): boolean {
  return value === undefined || (value >= 0 && Number.isFinite(value));
}

function areTexts(texts: readonly string[], maxCount: number, maxLength: number): boolean {
  return texts.length <= maxCount && texts.every((text) => text !== "" && text.length <= maxLength);
}

function isMetadata(metadata: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(metadata);
  if (keys.length > maxMetadataPairs) return false;
  return keys.every(
    (key) => key !== "" && key.length <= maxMetadataKeyLength && (metadata[key]?.length ?? 0) <= maxMetadataValueLength,
  );
}
