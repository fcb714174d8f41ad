import { Priority, SignalType } from "@coordination-signals/proto/coordination/v1/signal";
import { MapOrder } from "./map-order.js";
import {
  type EventRepair,
  readAgentCompleted,
  readAgentInitialized,
  readDependencyResolved,
  readInterAgentMessage,
} from "./plain-event.js";
import { PlainReader } from "./plain-reader.js";

const maxRecipients = 16;
const maxCorrelationBytes = 200;
const maxMetadataPairs = 64;
const maxMetadataKeyBytes = 200;
const maxMetadataValueBytes = 4_096;
const maxRequestIdLength = 128;

const coordinationTag = 0x0a;
const senderTag = 0x12;
const recipientTag = 0x1a;
const priorityTag = 0x20;
const correlationTag = 0x2a;
const metadataTag = 0x32;
const requestIdTag = 0x3a;
const expectedSequenceTag = 0x40;
/** The first byte of each event's tag; the second is the same. */
const agentInitializedTag = 0x82;
const agentCompletedTag = 0x8a;
const dependencyResolvedTag = 0x92;
const interAgentMessageTag = 0x9a;
const eventTagEnd = 0x01;

const nobody: readonly string[] = [];

/** A stretch of the bytes. */
export interface Stretch {
  start: number;
  stop: number;
}

/**
 * Reads the SendSignalRequests of one message, one after another. After each its fields say where the parts of the request
 * stand, and what of them has to be known; the next reading changes them.
 */
export class EnvelopeReader {
  readonly bytes: Uint8Array;
  /** coordination_id, sender_agent_id and recipient_agent_ids. */
  readonly addresses: Stretch = { start: 0, stop: 0 };
  /** correlation_id, metadata and request_id. */
  readonly details: Stretch = { start: 0, stop: 0 };
  readonly metadata: Stretch = { start: 0, stop: 0 };
  /** The content of the event. */
  readonly event: Stretch = { start: 0, stop: 0 };
  readonly repair: EventRepair = {
    missingAgentAt: undefined,
    missingAgentTag: 0,
    unorderedStart: undefined,
    unorderedStop: 0,
  };
  readonly sender: Stretch = { start: 0, stop: 0 };
  coordinationId = "";
  senderAgentId = "";
  recipientAgentIds: readonly string[] = nobody;
  priority = Priority.NORMAL;
  correlationId = "";
  requestId = "";
  isMetadataOrdered = true;
  expectedSequence: bigint | undefined;
  type = SignalType.UNSPECIFIED;
  eventTag = 0;
  readonly #reader: PlainReader;
  /** Where coordination_id and sender_agent_id of the request before stand: in most messages all have the same. */
  readonly #known: Stretch = { start: 0, stop: 0 };

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#reader = new PlainReader(bytes, 0, 0);
  }

  /** Reads a request. Answers false when it is not in the plain form, or not certain to keep every rule of the contract. */
  read(start: number, stop: number): boolean {
    const reader = this.#reader;
    reader.restart(start, stop);
    this.addresses.start = start;
    this.#readNames(start);
    this.#readRecipients();
    this.addresses.stop = reader.at;
    this.#readPriority();
    this.details.start = reader.at;
    this.#readCorrelation();
    this.#readMetadata();
    this.#readRequestId();
    this.details.stop = reader.at;
    this.expectedSequence = reader.takes(expectedSequenceTag) ? BigInt(reader.number()) : undefined;
    this.#readEvent();
    return reader.isPlain && reader.at === reader.end;
  }

  #readNames(start: number): void {
    const reader = this.#reader;
    const known = this.#known;
    if (known.stop > known.start && reader.takesSame(known.start, known.stop)) return;
    known.start = 0;
    known.stop = 0;
    if (!reader.takesField(coordinationTag) || !reader.isId()) return void reader.give();
    const coordinationId = reader.ascii();
    if (!reader.takesField(senderTag) || !reader.isId()) return void reader.give();
    this.coordinationId = coordinationId;
    this.senderAgentId = reader.ascii();
    this.sender.start = reader.start;
    this.sender.stop = reader.stop;
    known.start = start;
    known.stop = reader.at;
  }

  #readRecipients(): void {
    const reader = this.#reader;
    let recipients: string[] | undefined;
    while (reader.takesField(recipientTag)) {
      recipients ??= [];
      const agentId = reader.isId() ? reader.ascii() : "";
      if (agentId === "" || recipients.length === maxRecipients || recipients.includes(agentId)) reader.give();
      recipients.push(agentId);
    }
    this.recipientAgentIds = recipients ?? nobody;
  }

  #readPriority(): void {
    const reader = this.#reader;
    this.priority = Priority.NORMAL;
    if (!reader.takes(priorityTag)) return;
    const priority = reader.number();
    reader.expect(priority >= Priority.LOW && priority <= Priority.CONTROL);
    this.priority = priority;
  }

  #readCorrelation(): void {
    const reader = this.#reader;
    this.correlationId = "";
    if (!reader.takesField(correlationTag)) return;
    // Nearly always the id of a signal; other text costs a pass more.
    if (reader.isPrintable(maxCorrelationBytes)) this.correlationId = reader.ascii();
    else reader.give();
  }

  #readMetadata(): void {
    const reader = this.#reader;
    this.metadata.start = reader.at;
    this.isMetadataOrdered = true;
    if (reader.bytes[reader.at] === metadataTag && reader.at < reader.end) this.#readPairs();
    this.metadata.stop = reader.at;
  }

  #readPairs(): void {
    const reader = this.#reader;
    const order = new MapOrder(reader);
    while (reader.takesField(metadataTag)) {
      const outerEnd = reader.enter();
      if (reader.takesField(0x0a) && reader.isText(maxMetadataKeyBytes)) order.see();
      else reader.give();
      reader.expect(reader.takesField(0x12) && reader.isTextOrEmpty(maxMetadataValueBytes));
      reader.leave(outerEnd);
    }
    reader.expect(order.count <= maxMetadataPairs);
    this.isMetadataOrdered = order.isKept;
  }

  #readRequestId(): void {
    const reader = this.#reader;
    this.requestId = "";
    if (!reader.takesField(requestIdTag)) return;
    if (reader.isPrintable(maxRequestIdLength)) this.requestId = reader.ascii();
    else reader.give();
  }

  #readEvent(): void {
    const reader = this.#reader;
    this.repair.missingAgentAt = undefined;
    this.repair.unorderedStart = undefined;
    this.eventTag = reader.bytes[reader.at] ?? 0;
    reader.at += 1;
    if (!reader.takesField(eventTagEnd)) return void reader.give();
    this.event.start = reader.start;
    this.event.stop = reader.stop;
    const outerEnd = reader.enter();
    this.#readContent();
    reader.leave(outerEnd);
  }

  #readContent(): void {
    const reader = this.#reader;
    switch (this.eventTag) {
      case interAgentMessageTag:
        this.type = SignalType.INTER_AGENT_MESSAGE;
        readInterAgentMessage(reader, this.repair);
        break;
      case dependencyResolvedTag:
        this.type = SignalType.DEPENDENCY_RESOLVED;
        readDependencyResolved(reader, this.repair);
        break;
      case agentInitializedTag:
        this.type = SignalType.AGENT_INITIALIZED;
        readAgentInitialized(reader, this.sender, this.repair);
        break;
      case agentCompletedTag:
        this.type = SignalType.AGENT_COMPLETED;
        readAgentCompleted(reader, this.sender, this.repair);
        break;
      default:
        reader.give();
    }
  }
}
