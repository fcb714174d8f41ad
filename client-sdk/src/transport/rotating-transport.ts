import type { DescMessage, DescMethodStreaming, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import type { ContextValues, StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import { UnavailableError } from "../errors/coordination-client-error.js";
import { errorFromConnect } from "../errors/error-from-connect.js";
import { type CallRoute, noteRoute } from "./call-route.js";
import type { ClientTransport } from "./client-transport.js";
import type { SignalStreams } from "./signal-streams.js";
import type { AttemptEvents, UnaryCalls } from "./unary-calls.js";

/*
 * Sends calls to one of several servers that share one database: to the same one for as long as it serves, then to the
 * next. It repeats nothing itself: whoever made the call does, or not. Invariant: an address is left once, however many
 * calls fail on it: each call knows the turn it was made in, and only a failure in the present turn ends it.
 */

/** What a rotating transport is made of. */
export interface RotatingTransportOptions {
  /** The addresses, at least one. */
  readonly baseUrls: readonly string[];
  /** Makes the transport to one address; it connects with its first call. */
  readonly open: (baseUrl: string) => ClientTransport;
  /** A number from 0 (included) to 1 (excluded): chooses the first address, so that clients spread over the servers. */
  readonly random: () => number;
}

/** Opens a transport that goes to the next of its addresses when a call finds that the present one does not serve. */
export function createRotatingTransport(options: RotatingTransportOptions): ClientTransport {
  const transport = new RotatingTransport(options);
  return {
    transport,
    addressCount: options.baseUrls.length,
    carriesRequestStreams: transport.carriesRequestStreams,
    signalStreams: transport.signalStreams,
    unaryCalls: transport.unaryCalls,
    afterTurn: transport.afterTurn,
    close: () => transport.close(),
  };
}

type HeaderFields = ConstructorParameters<typeof Headers>[0];

interface Address {
  readonly baseUrl: string;
  readonly client: ClientTransport;
}

/** The address that calls go to until it is left. */
interface Turn extends CallRoute {
  readonly client: ClientTransport;
  /** Judges what a call threw, which was given up by its signal or not. */
  readonly failed: (thrown: unknown, signal?: AbortSignal) => void;
}

class RotatingTransport implements Transport {
  readonly #addresses: readonly Address[];
  #turn: Turn;

  constructor({ baseUrls, open, random }: RotatingTransportOptions) {
    this.#addresses = baseUrls.map((baseUrl) => ({ baseUrl, client: open(baseUrl) }));
    this.#turn = this.#createTurn(Math.floor(random() * baseUrls.length));
  }

  /** All addresses are spoken to alike. */
  get carriesRequestStreams(): boolean | undefined {
    return this.#addresses[0]?.client.carriesRequestStreams;
  }

  get afterTurn(): ClientTransport["afterTurn"] {
    return this.#addresses[0]?.client.afterTurn;
  }

  get signalStreams(): SignalStreams | undefined {
    if (this.#addresses.some(({ client }) => client.signalStreams === undefined)) return undefined;
    return {
      subscribe: (request, options) => {
        const { client, failed } = this.#takeTurn(options.contextValues);
        return streamsOf(client).subscribe(request, { ...options, onFailed: (thrown) => failed(thrown) });
      },
      sendBatches: (contextValues, events) => {
        const { client, failed } = this.#takeTurn(contextValues);
        const onEnd = (thrown: unknown) => {
          if (thrown !== undefined) failed(thrown);
          events.onEnd(thrown);
        };
        return streamsOf(client).sendBatches(contextValues, { ...events, onEnd });
      },
      nextTurn: () => streamsOf(this.#turn.client).nextTurn(),
      readHistory: async (request, options) => {
        const { client, failed } = this.#turn;
        try {
          return await streamsOf(client).readHistory(request, options);
        } catch (thrown) {
          failed(thrown, options.signal);
          throw thrown;
        }
      },
    };
  }

  get unaryCalls(): UnaryCalls | undefined {
    if (this.#addresses.some(({ client }) => client.unaryCalls === undefined)) return undefined;
    return {
      begin: (call, events) => {
        const turn = this.#turn;
        return unaryCallsOf(turn.client).begin(call, new JudgedEvents(events, turn));
      },
    };
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeaderFields,
    input: MessageInitShape<I>,
    contextValues?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    const { client, failed } = this.#takeTurn(contextValues);
    try {
      return await client.transport.unary(method, signal, timeoutMs, header, input, contextValues);
    } catch (thrown) {
      failed(thrown, signal);
      throw thrown;
    }
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeaderFields,
    input: AsyncIterable<MessageInitShape<I>>,
    contextValues?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    const { client, failed } = this.#takeTurn(contextValues);
    try {
      const response = await client.transport.stream(method, signal, timeoutMs, header, input, contextValues);
      return { ...response, message: watched(response.message, (thrown) => failed(thrown, signal)) };
    } catch (thrown) {
      failed(thrown, signal);
      throw thrown;
    }
  }

  close(): void {
    for (const { client } of this.#addresses) client.close();
  }

  #takeTurn(contextValues: ContextValues | undefined): Turn {
    noteRoute(contextValues, this.#turn);
    return this.#turn;
  }

  #createTurn(number: number): Turn {
    const address = this.#addresses[number % this.#addresses.length];
    if (address === undefined) throw new RangeError("a rotating transport needs at least 1 address, it has 0");
    const leave = () => {
      if (turn === this.#turn) this.#turn = this.#createTurn(number + 1);
    };
    const failed: Turn["failed"] = (thrown, signal) => {
      if (isAddressFailure(thrown, signal)) leave();
    };
    const turn: Turn = { ...address, leave, failed };
    return turn;
  }
}

/** Hands on what becomes of an attempt, and judges what it failed with. */
class JudgedEvents<Answer> implements AttemptEvents<Answer> {
  readonly #events: AttemptEvents<Answer>;
  readonly #turn: Turn;

  constructor(events: AttemptEvents<Answer>, turn: Turn) {
    this.#events = events;
    this.#turn = turn;
  }

  answered(answer: Answer): void {
    this.#events.answered(answer);
  }

  failed(thrown: unknown): void {
    this.#turn.failed(thrown);
    this.#events.failed(thrown);
  }
}

function unaryCallsOf({ unaryCalls }: ClientTransport): UnaryCalls {
  if (unaryCalls === undefined) throw new TypeError("the transport makes no unary calls of its own");
  return unaryCalls;
}

function streamsOf({ signalStreams }: ClientTransport): SignalStreams {
  if (signalStreams === undefined) throw new TypeError("the transport has no streams of its own");
  return signalStreams;
}

// A timeout counts: nothing may be listening behind a connection that stands, and the next call is as good elsewhere.
function isAddressFailure(thrown: unknown, signal: AbortSignal | undefined): boolean {
  // Whoever gives up for want of a sign of life says so with this error; others have only changed their mind.
  if (signal?.aborted === true) return signal.reason instanceof UnavailableError;
  const { code, reason } = errorFromConnect(thrown);
  return code === "UNAVAILABLE" || reason === "CALL_TIMEOUT";
}

/** Hands messages on, and tells what reading them throws. Like Connect's own iterables it has no `return`: abort the call instead. */
function watched<T>(messages: AsyncIterable<T>, failed: (thrown: unknown) => void): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]: () => {
      const iterator = messages[Symbol.asyncIterator]();
      const next = async () => {
        try {
          return await iterator.next();
        } catch (thrown) {
          failed(thrown);
          throw thrown;
        }
      };
      return { next };
    },
  };
}
