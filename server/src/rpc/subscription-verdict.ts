import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  DeliveryVerdict,
  type SubscriptionVerdict,
  SubscriptionVerdictSchema,
} from "@coordination-signals/proto/coordination/v1/receipt";
import type { NamedVerdict } from "../delivery/acknowledged/named-verdicts.js";
import type { StretchVerdict, DeliveryVerdict as Verdict } from "../delivery/delivery-verdict.js";
import { deadLetterReason } from "./acknowledged-subscriptions-service.js";

const verdictNumbers: Readonly<Record<Verdict["is"] | NamedVerdict["verdict"]["is"], DeliveryVerdict>> = {
  delivered: DeliveryVerdict.DELIVERED,
  notYet: DeliveryVerdict.NOT_YET,
  filtered: DeliveryVerdict.FILTERED,
  ownSignal: DeliveryVerdict.OWN_SIGNAL,
  notAddressed: DeliveryVerdict.NOT_ADDRESSED,
  beforeStart: DeliveryVerdict.BEFORE_START,
  acknowledged: DeliveryVerdict.ACKNOWLEDGED,
  outstanding: DeliveryVerdict.OUTSTANDING,
  waiting: DeliveryVerdict.WAITING,
  deadLettered: DeliveryVerdict.DEAD_LETTERED,
  settled: DeliveryVerdict.SETTLED,
};

/** What a subscription without a name made of a signal, as the contract's message. */
export function stretchVerdictMessage({ stretch, verdict }: StretchVerdict): SubscriptionVerdict {
  const timeMs = verdict.is === "delivered" ? verdict.timeMs : undefined;
  return create(SubscriptionVerdictSchema, {
    verdict: verdictNumbers[verdict.is],
    filterPart: verdict.is === "filtered" ? verdict.part : "",
    startSequence: BigInt(stretch.after),
    deliveredSequence: BigInt(stretch.through),
    ...timed("deliveredTime", timeMs),
  });
}

/** What a named subscription made of a signal, as the contract's message. */
export function namedVerdictMessage(named: NamedVerdict): SubscriptionVerdict {
  return create(SubscriptionVerdictSchema, {
    verdict: verdictNumbers[named.verdict.is],
    subscription: named.subscription.name,
    startSequence: named.startSequence,
    deliveredSequence: named.scannedSequence,
    ...detailsOf(named.verdict),
  });
}

type Details = Partial<Omit<SubscriptionVerdict, "$typeName" | "$unknown">>;

function detailsOf(verdict: NamedVerdict["verdict"]): Details {
  switch (verdict.is) {
    case "filtered":
      return { filterPart: verdict.part };
    case "acknowledged": {
      const { deliveredMs, acknowledgedMs } = verdict.time ?? {};
      return { ...timed("deliveredTime", deliveredMs), ...timed("acknowledgedTime", acknowledgedMs) };
    }
    case "outstanding": {
      const { attempt, dueMs, firstTimeMs } = verdict.delivery;
      const { consumer } = verdict.lease;
      return { attempt, consumer, ...timed("deadline", dueMs), ...timed("deliveredTime", firstTimeMs) };
    }
    case "waiting": {
      const { attempt, firstTimeMs, detail = "" } = verdict.delivery;
      return {
        attempt,
        detail,
        ...timed("availableTime", verdict.availableMs),
        ...timed("deliveredTime", firstTimeMs),
      };
    }
    case "deadLettered": {
      const { attempts: attempt, cause, detail, firstTimeMs } = verdict.letter;
      return { attempt, detail, deadLetterReason: deadLetterReason(cause), ...timed("deliveredTime", firstTimeMs) };
    }
    case "beforeStart":
    case "ownSignal":
    case "notAddressed":
    case "notYet":
    case "settled":
      return {};
  }
}

type TimeField = "deliveredTime" | "acknowledgedTime" | "deadline" | "availableTime";

function timed(field: TimeField, timeMs: number | undefined): Details {
  return timeMs === undefined ? {} : { [field]: timestampFromMs(timeMs) };
}
