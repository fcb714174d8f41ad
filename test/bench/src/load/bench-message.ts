/** What every system carries: an inter-agent message whose JSON form has {@link messageBytes} bytes. */
export interface BenchMessage {
  readonly senderAgentId: string;
  readonly event: "interAgentMessage";
  readonly messageType: string;
  readonly message: string;
  /** The message's number among those of its sender, from 1: what loss, doubling and order are checked by. */
  readonly responseTimeoutMs: number;
}

/** Size of a message in JSON, in bytes; a long sender's name or number adds to it. */
export const messageBytes = 180;

/** The `messageType` of every message. */
export const messageType = "progress";

/** A number of six digits, so that the text leaves room for as many. */
const sixDigits = 100_000;
const withoutText = JSON.stringify(messageOf({ senderAgentId: "sender-0", number: sixDigits, text: "" })).length;

/** The `message` of every message. */
export const messageText = "validator for UserModel is due ".repeat(4).slice(0, messageBytes - withoutText);

/** Encodes one message as the brokers' clients do. */
export function encodeJson(senderAgentId: string, number: number): string {
  return JSON.stringify(messageOf({ senderAgentId, number, text: messageText }));
}

/** Decodes what {@link encodeJson} made. */
export function decodeJson(text: string): BenchMessage {
  return JSON.parse(text) as BenchMessage;
}

function messageOf(parts: { readonly senderAgentId: string; readonly number: number; readonly text: string }) {
  const { senderAgentId, number, text } = parts;
  const message: BenchMessage = {
    senderAgentId,
    event: "interAgentMessage",
    messageType,
    message: text,
    responseTimeoutMs: number,
  };
  return message;
}
