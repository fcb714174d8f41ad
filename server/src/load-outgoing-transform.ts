import { readFile } from "node:fs/promises";
import { create, fromJsonString } from "@bufbuild/protobuf";
import { type SignalTransform, SignalTransformSchema } from "@coordination-signals/proto/coordination/v1/signal";
import type { Logger } from "pino";
import { maxRedactedPaths } from "./model/limits.js";
import { outgoingTransform } from "./model/transform/outgoing-transform.js";
import type { CompiledTransform } from "./model/transform/signal-transform.js";
import type { RequestValidator } from "./rpc/validate-request.js";

/** What of the configuration says what becomes of every signal before it is handed out. */
export interface OutgoingTransformConfig {
  /** Paths whose values are redacted. */
  readonly redact?: readonly string[] | undefined;
  /** A file that holds a SignalTransform as JSON; undefined for none. */
  readonly transformFile?: string | undefined;
}

/** What a transform of the configuration is made with. */
export interface OutgoingTransformTools {
  readonly validator: RequestValidator;
  readonly compile: (transform: SignalTransform) => CompiledTransform;
  readonly logger: Logger;
}

/**
 * Makes the transform through which every signal leaves the server: the file's, then the redactions. Undefined when the
 * configuration names none. Rejects with an Error that names the flag which is at fault.
 */
export async function loadOutgoingTransform(
  { redact = [], transformFile }: OutgoingTransformConfig,
  tools: OutgoingTransformTools,
): Promise<CompiledTransform | undefined> {
  if (redact.length > maxRedactedPaths) {
    throw new Error(`--redact has ${redact.length} paths, limit is ${maxRedactedPaths}`);
  }
  const transforms: CompiledTransform[] = [];
  if (transformFile !== undefined) {
    const source = `--transform-file ${transformFile}`;
    const text = await readFile(transformFile, "utf8").catch((error: unknown) => refuse(source, error));
    transforms.push(compile(source, () => fromJsonString(SignalTransformSchema, text), tools));
  }
  if (redact.length > 0) {
    const fields = redact.map((path) => ({ path, action: { case: "redact" as const, value: "" } }));
    transforms.push(compile("--redact", () => create(SignalTransformSchema, { fields }), tools));
  }
  if (transforms.length === 0) return undefined;
  return outgoingTransform(transforms, ({ signal }, { message }) => {
    const { coordinationId, sequence } = signal;
    const fields = { coordination_id: coordinationId, sequence: String(sequence), reason: message };
    tools.logger.warn(fields, "kept a signal's content back: the server's transform cannot be applied to it");
  });
}

function compile(
  source: string,
  read: () => SignalTransform,
  { validator, compile: compileTransform }: OutgoingTransformTools,
): CompiledTransform {
  try {
    const transform = read();
    validator.validate(SignalTransformSchema, transform);
    return compileTransform(transform);
  } catch (error) {
    return refuse(source, error);
  }
}

function refuse(source: string, error: unknown): never {
  const reason = error instanceof Error ? error.message : String(error);
  throw new Error(`${source} cannot be used: ${reason}`, { cause: error });
}
