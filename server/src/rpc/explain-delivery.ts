import { create } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { DeadLetterReason } from "@coordination-signals/proto/coordination/v1/acknowledgement";
import { DeliveryVerdict, type SubscriptionVerdict } from "@coordination-signals/proto/coordination/v1/receipt";
import {
  type ExplainDeliveryRequest,
  type ExplainDeliveryResponse,
  ExplainDeliveryResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { SignalReaderName } from "../coordination/coordination-reports.js";
import type { SignalPlace } from "../delivery/find-signal.js";
import { CoordinationError } from "../model/coordination-error.js";
import type { ServiceDependencies } from "./service-dependencies.js";
import { namedVerdictMessage, stretchVerdictMessage } from "./subscription-verdict.js";

/** Answers why a signal was delivered to a reader, or was not. */
export async function explainDelivery(
  { coordinator }: ServiceDependencies,
  { coordinationId, sequence, reader: named }: ExplainDeliveryRequest,
): Promise<ExplainDeliveryResponse> {
  if (named.case === undefined) throw new CoordinationError("INVALID_REQUEST", "reader is not set");
  const reader: SignalReaderName =
    named.case === "subscription" ? { subscription: named.value } : { agentId: named.value };
  const explained = await coordinator.reports.explainDelivery(coordinationId, { sequence, reader });
  const subscriptions = [
    ...[...explained.verdicts].reverse().map(stretchVerdictMessage),
    ...explained.named.map(namedVerdictMessage),
  ];
  const decisive = furthest(subscriptions) ?? subscriptions[0];
  const verdict = decisive?.verdict ?? verdictOfPlace(explained.place);
  const subject = `signal ${sequence}`;
  const name = named.case === "subscription" ? `subscription "${named.value}"` : `"${named.value}"`;
  const explanation = explanations[verdict]({ subject, reader: name, decisive });
  return create(ExplainDeliveryResponseSchema, { verdict, explanation, subscriptions });
}

/** The verdicts of which one is enough to say how far a signal got, the furthest first. */
const ranks: readonly DeliveryVerdict[] = [
  DeliveryVerdict.ACKNOWLEDGED,
  DeliveryVerdict.DELIVERED,
  DeliveryVerdict.OUTSTANDING,
  DeliveryVerdict.WAITING,
  DeliveryVerdict.DEAD_LETTERED,
  DeliveryVerdict.SETTLED,
];

function furthest(subscriptions: readonly SubscriptionVerdict[]): SubscriptionVerdict | undefined {
  for (const rank of ranks) {
    const found = subscriptions.find(({ verdict }) => verdict === rank);
    if (found !== undefined) return found;
  }
  return undefined;
}

function verdictOfPlace(place: SignalPlace): DeliveryVerdict {
  switch (place) {
    case "inHistory":
      return DeliveryVerdict.NO_SUBSCRIPTION;
    case "trimmed":
      return DeliveryVerdict.TRIMMED;
    case "rolledBack":
      return DeliveryVerdict.ROLLED_BACK;
    case "notSent":
      return DeliveryVerdict.NOT_SENT;
  }
}

interface Facts {
  readonly subject: string;
  /** Who reads, quoted. */
  readonly reader: string;
  readonly decisive: SubscriptionVerdict | undefined;
}

const explanations: Readonly<Record<DeliveryVerdict, (facts: Facts) => string>> = {
  [DeliveryVerdict.UNSPECIFIED]: () => "",
  [DeliveryVerdict.DELIVERED]: ({ subject, reader }) => `${subject} was handed to ${reader}`,
  [DeliveryVerdict.NOT_YET]: ({ subject, reader, decisive }) =>
    `${subject} is for ${reader}, which was handed what it wants through ${decisive?.deliveredSequence} so far`,
  [DeliveryVerdict.FILTERED]: ({ subject, reader, decisive }) =>
    `the filter of ${reader} does not match ${subject}: ${decisive?.filterPart}`,
  [DeliveryVerdict.OWN_SIGNAL]: ({ subject, reader }) =>
    `${subject} was sent by the agent of ${reader} itself, which did not ask for its own signals`,
  [DeliveryVerdict.NOT_ADDRESSED]: ({ subject, reader }) => `${subject} is addressed to others than ${reader}`,
  [DeliveryVerdict.BEFORE_START]: ({ subject, reader, decisive }) =>
    `${reader} gets what comes after ${decisive?.startSequence}, or after its start time, which ${subject} does not`,
  [DeliveryVerdict.NO_SUBSCRIPTION]: ({ reader }) => `no subscription of ${reader} is known`,
  [DeliveryVerdict.TRIMMED]: ({ subject }) => `${subject} has left the history`,
  [DeliveryVerdict.ROLLED_BACK]: ({ subject }) => `${subject} was taken out by a rollback`,
  [DeliveryVerdict.NOT_SENT]: ({ subject }) => `${subject} was not sent yet`,
  [DeliveryVerdict.ACKNOWLEDGED]: ({ subject, decisive }) =>
    `${subject} was acknowledged through subscription "${decisive?.subscription}"`,
  [DeliveryVerdict.OUTSTANDING]: ({ subject, decisive }) =>
    `a consumer of subscription "${decisive?.subscription}" has ${subject}, attempt ${decisive?.attempt}, until ${timeText(decisive?.deadline)}`,
  [DeliveryVerdict.WAITING]: ({ subject, decisive }) =>
    `subscription "${decisive?.subscription}" delivers ${subject} again from ${timeText(decisive?.availableTime)} on${said(decisive)}`,
  [DeliveryVerdict.DEAD_LETTERED]: ({ subject, decisive }) =>
    `subscription "${decisive?.subscription}" gave ${subject} up after ${decisive?.attempt} attempts, ${reasonText(decisive)}${said(decisive)}`,
  [DeliveryVerdict.SETTLED]: ({ subject, decisive }) =>
    `subscription "${decisive?.subscription}" is done with ${subject}: it was acknowledged, or a dead letter that had to go`,
};

function timeText(time: SubscriptionVerdict["deadline"]): string {
  return time === undefined ? "" : timestampDate(time).toISOString();
}

function reasonText(decisive: SubscriptionVerdict | undefined): string {
  return DeadLetterReason[decisive?.deadLetterReason ?? DeadLetterReason.UNSPECIFIED] ?? "";
}

function said(decisive: SubscriptionVerdict | undefined): string {
  const { detail = "" } = decisive ?? {};
  return detail === "" ? "" : `: ${detail}`;
}
