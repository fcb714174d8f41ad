import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  DeliveryVerdict,
  type SubscriptionVerdict,
  SubscriptionVerdictSchema,
} from "@coordination-signals/proto/coordination/v1/receipt";
import {
  type ExplainDeliveryRequest,
  type ExplainDeliveryResponse,
  ExplainDeliveryResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { StretchVerdict, DeliveryVerdict as Verdict } from "../delivery/delivery-verdict.js";
import type { SignalPlace } from "../delivery/find-signal.js";
import { CoordinationError } from "../model/coordination-error.js";
import type { ServiceDependencies } from "./service-dependencies.js";

/** Answers why a signal was delivered to an agent, or was not. */
export async function explainDelivery(
  { coordinator }: ServiceDependencies,
  { coordinationId, sequence, reader }: ExplainDeliveryRequest,
): Promise<ExplainDeliveryResponse> {
  if (reader.case === undefined) throw new CoordinationError("INVALID_REQUEST", "reader is not set");
  const { place, verdicts } = await coordinator.explainDelivery(coordinationId, { sequence, agentId: reader.value });
  const subscriptions = [...verdicts].reverse().map(verdictMessage);
  const decisive = subscriptions.find(({ verdict }) => verdict === DeliveryVerdict.DELIVERED) ?? subscriptions[0];
  const verdict = place === "inHistory" ? (decisive?.verdict ?? DeliveryVerdict.NO_SUBSCRIPTION) : places[place];
  const subject = `signal ${sequence}`;
  const explanation = explanations[verdict]({ subject, agentId: reader.value, decisive });
  return create(ExplainDeliveryResponseSchema, { verdict, explanation, subscriptions });
}

const places: Readonly<Record<Exclude<SignalPlace, "inHistory">, DeliveryVerdict>> = {
  trimmed: DeliveryVerdict.TRIMMED,
  rolledBack: DeliveryVerdict.ROLLED_BACK,
  notSent: DeliveryVerdict.NOT_SENT,
};

const verdictNumbers: Readonly<Record<Verdict["is"], DeliveryVerdict>> = {
  delivered: DeliveryVerdict.DELIVERED,
  notYet: DeliveryVerdict.NOT_YET,
  filtered: DeliveryVerdict.FILTERED,
  ownSignal: DeliveryVerdict.OWN_SIGNAL,
  notAddressed: DeliveryVerdict.NOT_ADDRESSED,
  beforeStart: DeliveryVerdict.BEFORE_START,
};

function verdictMessage({ stretch, verdict }: StretchVerdict): SubscriptionVerdict {
  const timeMs = verdict.is === "delivered" ? verdict.timeMs : undefined;
  return create(SubscriptionVerdictSchema, {
    verdict: verdictNumbers[verdict.is],
    filterPart: verdict.is === "filtered" ? verdict.part : "",
    startSequence: BigInt(stretch.after),
    deliveredSequence: BigInt(stretch.through),
    ...(timeMs !== undefined && { deliveredTime: timestampFromMs(timeMs) }),
  });
}

interface Facts {
  readonly subject: string;
  readonly agentId: string;
  readonly decisive: SubscriptionVerdict | undefined;
}

const explanations: Readonly<Record<DeliveryVerdict, (facts: Facts) => string>> = {
  [DeliveryVerdict.UNSPECIFIED]: () => "",
  [DeliveryVerdict.DELIVERED]: ({ subject, agentId }) => `${subject} was handed to "${agentId}"`,
  [DeliveryVerdict.NOT_YET]: ({ subject, agentId, decisive }) =>
    `${subject} is for "${agentId}", which was handed what it wants through ${decisive?.deliveredSequence} so far`,
  [DeliveryVerdict.FILTERED]: ({ subject, agentId, decisive }) =>
    `the filter of "${agentId}" does not match ${subject}: ${decisive?.filterPart}`,
  [DeliveryVerdict.OWN_SIGNAL]: ({ subject, agentId }) =>
    `"${agentId}" sent ${subject} and did not ask for its own signals`,
  [DeliveryVerdict.NOT_ADDRESSED]: ({ subject, agentId }) => `${subject} is addressed to others than "${agentId}"`,
  [DeliveryVerdict.BEFORE_START]: ({ subject, agentId, decisive }) =>
    `the subscription of "${agentId}" gets what comes after ${decisive?.startSequence}, which ${subject} does not`,
  [DeliveryVerdict.NO_SUBSCRIPTION]: ({ agentId }) => `no subscription of "${agentId}" is known`,
  [DeliveryVerdict.TRIMMED]: ({ subject }) => `${subject} has left the history`,
  [DeliveryVerdict.ROLLED_BACK]: ({ subject }) => `${subject} was taken out by a rollback`,
  [DeliveryVerdict.NOT_SENT]: ({ subject }) => `${subject} was not sent yet`,
};
