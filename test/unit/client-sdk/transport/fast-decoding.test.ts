import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Empty, EmptySchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, createRouterTransport, type Transport } from "@connectrpc/connect";
import {
  GetSignalHistoryResponseSchema,
  SignalService,
  SubscribeResponseSchema,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { withFastDecoding } from "../../../../client-sdk/src/transport/fast-decoding.js";
import { batch, caughtUp, checkpoint, signalAt, subscribed } from "../support/scripted-log.js";

/** A transport that hands on these bytes, decoded as the caller's method says. */
function bytesTransport(bytes: readonly Uint8Array[]): Transport {
  return {
    unary: async (method) => ({
      stream: false,
      service: method.parent,
      method,
      header: new Headers(),
      trailer: new Headers(),
      message: fromBinary(method.output, bytes[0] ?? new Uint8Array()),
    }),
    stream: async (method) => {
      async function* messages() {
        for (const each of bytes) yield fromBinary(method.output, each);
      }
      const response = { stream: true, service: method.parent, method, header: new Headers(), trailer: new Headers() };
      return { ...response, message: messages() } as never;
    },
  };
}

const unknown = [{ no: 99, wireType: 0, data: Uint8Array.of(1) }] as Empty["$unknown"];

describe("withFastDecoding", () => {
  test("hands on the items of a subscription as the library decodes them", async () => {
    const items = [subscribed(2), batch(0, 2, [1, 2]), checkpoint(2, 3), caughtUp(3), {}].map((item) =>
      create(SubscribeResponseSchema, item),
    );
    const strange = create(SubscribeResponseSchema, batch(3, 4, [4]));
    if (unknown !== undefined) strange.$unknown = unknown;
    const bytes = [...items, strange].map((item) => toBinary(SubscribeResponseSchema, item));
    const client = createClient(SignalService, withFastDecoding(bytesTransport(bytes)));
    const read: unknown[] = [];
    for await (const item of client.subscribe({ coordinationId: "c" })) read.push(item);
    expect(read).toEqual(bytes.map((each) => fromBinary(SubscribeResponseSchema, each)));
  });

  test("hands on a page of history as the library decodes it", async () => {
    const page = create(GetSignalHistoryResponseSchema, {
      signals: [signalAt(1), signalAt(2, "ü")],
      nextPageToken: "token",
    });
    if (unknown !== undefined) page.$unknown = unknown;
    // A number that is left to the library, and with it the page.
    const strange = create(GetSignalHistoryResponseSchema, { signals: [{ ...signalAt(3), sequence: 2n ** 64n - 1n }] });
    for (const each of [page, strange, create(GetSignalHistoryResponseSchema)]) {
      const bytes = toBinary(GetSignalHistoryResponseSchema, each);
      const client = createClient(SignalService, withFastDecoding(bytesTransport([bytes])));
      expect(await client.getSignalHistory({})).toEqual(fromBinary(GetSignalHistoryResponseSchema, bytes));
    }
  });

  test("fails as the library does where the bytes are no message", async () => {
    const broken = toBinary(EmptySchema, create(EmptySchema));
    const cut = Buffer.concat([broken, Buffer.of(0x12, 0x02, 0x0a, 0x7f)]);
    const client = createClient(SignalService, withFastDecoding(bytesTransport([cut])));
    const read = async () => {
      for await (const item of client.subscribe({ coordinationId: "c" })) expect(item).toBeUndefined();
    };
    const error = await read().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConnectError);
    expect(error).toMatchObject({ code: Code.InvalidArgument });
  });

  test("leaves other calls alone", async () => {
    const transport = createRouterTransport(({ service }) => {
      service(SignalService, { getSignalMetrics: () => ({ epoch: "e" }) });
    });
    const client = createClient(SignalService, withFastDecoding(transport));
    expect(await client.getSignalMetrics({ coordinationId: "c" })).toMatchObject({ epoch: "e" });
  });
});
