import { createHash } from "node:crypto";
import type { SubscriptionRecord } from "../../state/subscription-record.js";

/*
 * An id names a sequence and the number of the claim that delivered it, sealed with the subscription's secret: whatever bears the
 * seal was delivered once, so that nothing has to be kept of what is settled to tell a late acknowledgement from an invented one.
 */

const numberBytes = 8;
const sealBytes = 8;
const idBytes = 2 * numberBytes + sealBytes;

/** What a delivery id names. */
export interface NamedDelivery {
  readonly sequence: bigint;
  readonly claim: number;
}

/** The id of one attempt to deliver a signal. */
export function deliveryIdOf({ secret }: SubscriptionRecord, { sequence, claim }: NamedDelivery): string {
  const bytes = Buffer.allocUnsafe(idBytes);
  bytes.writeBigUInt64BE(sequence, 0);
  bytes.writeBigUInt64BE(BigInt(claim), numberBytes);
  sealOf(secret, bytes).copy(bytes, 2 * numberBytes);
  return bytes.toString("base64url");
}

/** What an id names; undefined where this subscription never made it. */
export function parseDeliveryId({ secret }: SubscriptionRecord, id: string): NamedDelivery | undefined {
  const bytes = Buffer.from(id, "base64url");
  if (bytes.length !== idBytes || bytes.toString("base64url") !== id) return undefined;
  if (!sealOf(secret, bytes).equals(bytes.subarray(2 * numberBytes))) return undefined;
  return { sequence: bytes.readBigUInt64BE(0), claim: Number(bytes.readBigUInt64BE(numberBytes)) };
}

function sealOf(secret: string, bytes: Buffer): Buffer {
  const hash = createHash("sha256")
    .update(secret)
    .update(bytes.subarray(0, 2 * numberBytes));
  return hash.digest().subarray(0, sealBytes);
}
