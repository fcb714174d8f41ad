import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";

/** Is told what became of one attempt of a call: once, when its beginning has returned, and not after it was given up. */
export interface AttemptEvents<Answer> {
  answered(answer: Answer): void;
  failed(thrown: unknown): void;
}

/** One attempt under way. */
export interface OpenAttempt {
  /** Gives it up: no event follows. */
  cancel(reason: unknown): void;
}

/**
 * Makes unary calls without promises and abort signals: a call that waits for something keeps all that is made for it, and a
 * thousand of them wait at a time.
 */
export interface UnaryCalls {
  /** Begins one attempt, which fails with a ConnectError after `timeoutMs`. Throws for a request that cannot be encoded. */
  begin<I extends DescMessage, O extends DescMessage>(
    call: UnaryRequest<I, O>,
    events: AttemptEvents<MessageShape<O>>,
  ): OpenAttempt;
}

/** What is asked in one attempt. */
export interface UnaryRequest<I extends DescMessage, O extends DescMessage> {
  readonly method: DescMethodUnary<I, O>;
  readonly input: MessageInitShape<I>;
  /** The deadline, in milliseconds from now; none when it is undefined or 0. */
  readonly timeoutMs: number | undefined;
}

/** Makes an attempt of work that tells by a promise, and is given up by a signal. */
export function promisedAttempt<Answer>(
  work: (signal: AbortSignal) => Promise<Answer>,
  events: AttemptEvents<Answer>,
): OpenAttempt {
  const controller = new AbortController();
  const { signal } = controller;
  work(signal).then(
    (answer) => {
      if (!signal.aborted) events.answered(answer);
    },
    (thrown: unknown) => {
      if (!signal.aborted) events.failed(thrown);
    },
  );
  return { cancel: (reason) => controller.abort(reason) };
}
