import type { Clock } from "../../model/clock.js";
import type { FilterExpressionCompiler } from "../../model/filter-expression.js";
import type { HiddenValues } from "../../model/transform/hidden-values.js";
import type { CompiledTransform } from "../../model/transform/signal-transform.js";
import type { LogReader } from "../../state/log-reader.js";
import type { SessionDirectory } from "../../state/session-directory.js";

/** What waits work with. */
export interface WaitEnvironment {
  readonly directory: SessionDirectory;
  readonly reader: LogReader;
  readonly clock: Clock;
  readonly expressions: FilterExpressionCompiler;
  /** What the server makes of every signal that it hands out; undefined leaves them as they are. */
  readonly outgoing?: CompiledTransform | undefined;
  readonly hidden: HiddenValues;
  /** Names this server among those that have open waits. */
  readonly owner: string;
  /** Whether other servers work with the same store: they have to be told of open waits, and that this server is there. */
  readonly isShared: boolean;
  readonly isDraining: () => boolean;
  /** Told when something failed that is tried again by itself. */
  readonly onBackgroundError: (error: unknown) => void;
}
