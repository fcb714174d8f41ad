import type { SignalTransform } from "@coordination-signals/proto/coordination/v1/signal";
import type { Logger } from "pino";
import type { MetricsCollector } from "../metrics/metrics-collector.js";
import type { FilterExpressionCompiler } from "../model/filter-expression.js";
import type { CompiledTransform } from "../model/transform/signal-transform.js";
import type { SignalCoordinator } from "../signal-coordinator.js";
import type { RequestValidator } from "./validate-request.js";

/** What the services work with. */
export interface ServiceDependencies {
  readonly coordinator: SignalCoordinator;
  readonly validator: RequestValidator;
  /** Compiles and remembers filter expressions. */
  readonly expressions: FilterExpressionCompiler;
  /** Compiles a transform, undefined for an unset one. Throws INVALID_TRANSFORM. */
  readonly compileTransform: (transform: SignalTransform | undefined) => CompiledTransform | undefined;
  readonly metrics: MetricsCollector;
  readonly logger: Logger;
}
