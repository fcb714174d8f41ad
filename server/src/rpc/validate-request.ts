import { create, type DescMessage, type Message, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator, type Validator, type Violation, violationsToProto } from "@bufbuild/protovalidate";
import { ViolationsSchema } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import {
  type WaitForRequest,
  WaitForRequestSchema,
} from "@coordination-signals/proto/coordination/v1/coordination_service";
import {
  type GetSignalHistoryRequest,
  GetSignalHistoryRequestSchema,
  type SendSignalRequest,
  SendSignalRequestSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { CoordinationError, type Reason } from "../model/coordination-error.js";
import { maxViolations } from "../model/limits.js";
import { isPlainHistory } from "./plain-history.js";
import { isPlainSend } from "./plain-send.js";
import { isPlainWait } from "./plain-wait.js";
import { type UnknownField, UnknownFieldFinder } from "./unknown-field.js";
import { CheckedRequest } from "./wire-send/wire-send.js";

const maxMessageLength = 1_024;
// A path holds the keys of maps, which are as long as the client made them.
const maxPathLength = 300;

/** A request broke rules of the contract. */
export class RequestViolationError extends CoordinationError {
  readonly #violations: readonly Violation[];

  constructor(
    reason: Reason,
    message: string,
    violations: readonly Violation[],
    metadata: Readonly<Record<string, string>> = {},
  ) {
    super(reason, message, { metadata: { ...metadata, field: fieldOf(violations[0]) } });
    this.#violations = violations;
  }

  /** The same error, of one request of a batch. */
  atIndex(index: number): RequestViolationError {
    const message = `requests[${index}]: ${this.message}`;
    return new RequestViolationError(this.reason, message, this.#violations, { index: String(index) });
  }

  /** The violations as an error's detail: at most 16, because HTTP/2 trailers must stay small. */
  violationsDetail(): { desc: DescMessage; value: MessageInitShape<DescMessage> } {
    const [{ violations }] = violationsToProto(this.#violations.slice(0, maxViolations));
    // The path to the rule inside the rules is of no use to a client, and long.
    for (const violation of violations) {
      delete violation.rule;
      for (const { subscript } of violation.field?.elements ?? []) {
        if (subscript.case === "stringKey") subscript.value = subscript.value.slice(0, maxPathLength);
      }
    }
    return { desc: ViolationsSchema, value: { violations } };
  }
}

/** Checks requests against the rules that the contract states. */
export class RequestValidator {
  readonly #validator: Validator = createValidator();
  readonly #unknownFields = new UnknownFieldFinder();

  /**
   * Throws INVALID_REQUEST (INVALID_FILTER, INVALID_TRANSFORM, INVALID_CURSOR, INVALID_PAGE_TOKEN for those fields) naming what breaks a rule,
   * and for a field that this server does not know: what it would do if it were ignored cannot be known.
   */
  validate<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): void {
    if (message instanceof CheckedRequest) return;
    if (isPlain(schema, message)) return;
    const unknown = this.#unknownFields.find(schema, message);
    if (unknown !== undefined) throw unknownFieldError(unknown);
    const result = this.#validator.validate(schema, message);
    if (result.kind === "valid") return;
    if (result.kind === "error") throw result.error;
    const violations = result.violations;
    const text = violations.map((violation) => `${fieldOf(violation)}: ${violation.message}`).join("; ");
    throw new RequestViolationError(
      reasonOf(
        fieldOf(violations[0])
          .split(/[.[]/)
          .filter((part) => !part.endsWith("]")),
      ),
      text.slice(0, maxMessageLength),
      violations,
    );
  }

  /** Compiles the rules of a type of request now, unless one was validated before: the first validation does it otherwise. */
  compile(schema: DescMessage): void {
    this.#validator.validate(schema, create(schema));
  }
}

/** Whether a request keeps every rule for certain, of those that come often enough to be asked. */
function isPlain(schema: DescMessage, message: Message): boolean {
  switch (schema.typeName) {
    case SendSignalRequestSchema.typeName:
      return isPlainSend(message as SendSignalRequest);
    case WaitForRequestSchema.typeName:
      return isPlainWait(message as WaitForRequest);
    case GetSignalHistoryRequestSchema.typeName:
      return isPlainHistory(message as GetSignalHistoryRequest);
    default:
      return false;
  }
}

function fieldOf(violation: Violation | undefined): string {
  return violation === undefined ? "" : pathToString(violation.field).slice(0, maxPathLength);
}

function unknownFieldError({ path, number, typeName }: UnknownField): CoordinationError {
  const where = path.length === 0 ? "" : ` in ${path.join(".")}`;
  return new CoordinationError(reasonOf(path), `field ${number} of ${typeName}${where} is not known to this server`, {
    metadata: { field_number: String(number), field: path.join(".") },
  });
}

/** The reason for a request with a fault in the field to which this path leads. */
function reasonOf([field, part]: readonly string[]): Reason {
  switch (field) {
    case "filter":
      return "INVALID_FILTER";
    case "transform":
      return "INVALID_TRANSFORM";
    case "conditions":
      return part === "signal" ? "INVALID_FILTER" : "INVALID_REQUEST";
    case "cursor":
      return "INVALID_CURSOR";
    case "page_token":
      return "INVALID_PAGE_TOKEN";
    default:
      return "INVALID_REQUEST";
  }
}
