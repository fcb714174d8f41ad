import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type { SignalReceipt as SignalReceiptMessage } from "@coordination-signals/proto/coordination/v1/receipt";
import type { SignalService } from "@coordination-signals/proto/coordination/v1/signal_service";
import type { Caller, CallOptions } from "../calls/caller.js";
import { InternalError } from "../errors/coordination-client-error.js";
import { checkSequence } from "../options/check-sequence.js";

/** Names a signal: by its position, or by its id. The result of a send does both. */
export type SignalName = { readonly sequence: bigint } | { readonly signalId: string };

/** What became of a signal at one agent. */
export interface SignalReceipt {
  /** The agent. */
  readonly agentId: string;
  /** When it was handed to a subscription of the agent; `undefined` while it was not. */
  readonly delivered: Date | undefined;
  /** When it was acknowledged through a named subscription of the agent; `undefined` while it was not, or that is not known. */
  readonly acknowledged: Date | undefined;
  /** When the agent's first reply was accepted; `undefined` while there is none. */
  readonly replied: Date | undefined;
  /** The agent's first reply; `undefined` while there is none. */
  readonly replySequence: bigint | undefined;
}

/** What became of a signal. */
export interface SignalReceipts {
  /** The signal's unique name. */
  readonly signalId: string;
  /** Its position. */
  readonly sequence: bigint;
  /** When the server accepted it. */
  readonly accepted: Date;
  /** One for each recipient, and for whoever else replied, by agent id. */
  readonly receipts: readonly SignalReceipt[];
}

const pageSize = 1_000;

/** Reads all receipts of a signal. */
export async function readReceipts(
  environment: {
    readonly client: Client<typeof SignalService>;
    readonly caller: Caller;
    readonly coordinationId: string;
  },
  name: SignalName,
  options: CallOptions,
): Promise<SignalReceipts> {
  const { client, caller, coordinationId } = environment;
  if ("sequence" in name) checkSequence("sequence", name.sequence);
  const signal =
    "sequence" in name
      ? ({ case: "sequence", value: name.sequence } as const)
      : ({ case: "signalId", value: name.signalId } as const);
  const messages: SignalReceiptMessage[] = [];
  for (let pageToken = ""; ; ) {
    const request = { coordinationId, signal, pageSize, pageToken };
    const page = await caller.call((attempt) => client.getSignalReceipts(request, attempt), options);
    messages.push(...page.receipts);
    pageToken = page.nextPageToken;
    if (pageToken !== "") continue;
    const { signalId, sequence, acceptedTime } = page;
    if (acceptedTime === undefined) throw noTime();
    return { signalId, sequence, accepted: timestampDate(acceptedTime), receipts: messages.map(receiptFrom) };
  }
}

function receiptFrom(message: SignalReceiptMessage): SignalReceipt {
  const { agentId, deliveredTime, acknowledgedTime, repliedTime, replySequence } = message;
  return {
    agentId,
    delivered: dateOf(deliveredTime),
    acknowledged: dateOf(acknowledgedTime),
    replied: dateOf(repliedTime),
    replySequence: replySequence === 0n ? undefined : replySequence,
  };
}

function noTime(): InternalError {
  const message = "the receipts of a signal have no accepted_time";
  return new InternalError({ message, reason: "UNEXPECTED_RESPONSE", code: "INTERNAL" });
}

function dateOf(time: Timestamp | undefined): Date | undefined {
  return time && timestampDate(time);
}
