import { create, type DescMessage, type DescMethod, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type Empty, EmptySchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type StreamResponse, type Transport } from "@connectrpc/connect";
import {
  type GetSignalHistoryResponse,
  GetSignalHistoryResponseSchema,
  SignalService,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { encodedPageOf } from "./encoded-page.js";
import { SignalBatchDecoder } from "./signal-batch-decoder.js";

const batchField = SubscribeResponseSchema.field.batch.number;

/** The items of a subscription, and pages of history, as messages of no known field: the transport hands their bytes on as they came. */
const undecodedSubscribe = { ...SignalService.method.subscribe, output: EmptySchema };
const undecodedHistory = { ...SignalService.method.getSignalHistory, output: EmptySchema };

/**
 * A transport that decodes the batches of subscriptions and pages of history itself. Only for one in protobuf's binary form, and where nobody
 * looks at messages on their way.
 */
export function withFastDecoding(transport: Transport): Transport {
  return {
    unary: async (method, ...call) => {
      if (!isMethod(method, SignalService.method.getSignalHistory)) return transport.unary(method, ...call);
      const response = await transport.unary(undecodedHistory as unknown as typeof method, ...call);
      const message = historyFrom(response.message as unknown as Empty);
      return { ...response, method, message } as unknown as typeof response;
    },
    stream: async (method, ...call) => {
      if (!isMethod(method, SignalService.method.subscribe)) return transport.stream(method, ...call);
      const response = await transport.stream(undecodedSubscribe as unknown as typeof method, ...call);
      const undecoded = response.message as unknown as AsyncIterable<Empty>;
      return { ...response, message: decoded(undecoded) } as unknown as StreamResponse<
        (typeof method)["input"],
        (typeof method)["output"]
      >;
    },
  };
}

function isMethod(method: DescMethod, known: DescMethod): boolean {
  return method.name === known.name && method.parent.typeName === known.parent.typeName;
}

/** Like the transport's own iterables it has no `return`: abort the call instead. */
function decoded(messages: AsyncIterable<Empty>): AsyncIterable<SubscribeResponse> {
  return {
    [Symbol.asyncIterator]: () => {
      const iterator = messages[Symbol.asyncIterator]();
      const decoder = new SignalBatchDecoder();
      return {
        next: async () => {
          const { value, done } = await iterator.next();
          return done === true ? { done, value: undefined } : { done: false, value: responseFrom(value, decoder) };
        },
      };
    },
  };
}

function responseFrom(undecoded: Empty, decoder: SignalBatchDecoder): SubscribeResponse {
  const batch = batchFrom(undecoded, decoder);
  if (batch === undefined) return decodedByLibrary(SubscribeResponseSchema, undecoded);
  return create(SubscribeResponseSchema, { item: { case: "batch", value: batch } });
}

function decodedByLibrary<Desc extends DescMessage>(schema: Desc, undecoded: Empty): MessageShape<Desc> {
  try {
    return fromBinary(schema, toBinary(EmptySchema, undecoded));
  } catch (error) {
    throw ConnectError.from(error, Code.InvalidArgument);
  }
}

function historyFrom(undecoded: Empty): GetSignalHistoryResponse {
  const bytes = toBinary(EmptySchema, undecoded);
  const page = encodedPageOf(bytes);
  if (page === undefined) return decodedByLibrary(GetSignalHistoryResponseSchema, undecoded);
  const response = create(GetSignalHistoryResponseSchema, { nextPageToken: page.nextPageToken });
  for (let signal = page.take(); signal !== undefined; signal = page.take()) response.signals.push(signal);
  return response;
}

function batchFrom({ $unknown: fields }: Empty, decoder: SignalBatchDecoder) {
  const [field] = fields ?? [];
  if (field?.no !== batchField || fields?.length !== 1) return undefined;
  try {
    return decoder.delimitedBatch(field.data);
  } catch {
    // The library tells what is wrong with it, or that it is only unusual.
    return undefined;
  }
}
