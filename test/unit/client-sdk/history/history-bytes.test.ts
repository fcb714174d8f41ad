import { once } from "node:events";
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { CoordinationSignalSchema } from "@coordination-signals/proto/coordination/v1/signal";
import { GetSignalHistoryRequestSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { afterEach, describe, expect, test } from "@jest/globals";
import { CancelledError, createCoordinationClient } from "../../../../client-sdk/src/index.js";
import { grpcFrame } from "../../../../client-sdk/src/transport/grpc/grpc-frame.js";
import { createLatch } from "../support/latch.js";
import { signalAt } from "../support/scripted-log.js";

/** Writes the answer to the request for a page. */
type Answer = (pageToken: string, stream: ServerHttp2Stream) => void | Promise<void>;

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** The history of a server that answers as bytes. */
async function historyOf(answer: Answer, signal?: AbortSignal) {
  const server = createServer();
  server.on("stream", async (stream) => {
    // What a client resets is an error event here.
    stream.on("error", () => undefined);
    const pieces: Buffer[] = [];
    for await (const piece of stream) pieces.push(piece);
    const { pageToken } = fromBinary(GetSignalHistoryRequestSchema, Buffer.concat(pieces).subarray(5));
    stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    await answer(pageToken, stream);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = createCoordinationClient({ baseUrl: `http://127.0.0.1:${port}` });
  closers.push(async () => {
    await client.close();
    const closed = once(server, "close");
    server.close();
    await closed;
  });
  return client.coordination("c").history({ signal });
}

/** A page's fields in this order: a text is a token, a number the sequence of a signal, bytes one that is broken. */
function page(...fields: readonly (string | number | Uint8Array)[]): Buffer {
  const writer = new BinaryWriter();
  for (const field of fields) {
    if (typeof field === "string") writer.tag(2, WireType.LengthDelimited).string(field);
    else writer.tag(1, WireType.LengthDelimited).bytes(typeof field === "number" ? encoded(field) : field);
  }
  return Buffer.from(grpcFrame(writer.finish()));
}

function encoded(sequence: number): Uint8Array {
  return toBinary(CoordinationSignalSchema, create(CoordinationSignalSchema, signalAt(sequence)));
}

async function sequencesOf(signals: AsyncIterable<{ readonly sequence: bigint }>): Promise<readonly bigint[]> {
  const sequences: bigint[] = [];
  for await (const { sequence } of signals) sequences.push(sequence);
  return sequences;
}

describe("History over gRPC", () => {
  test("asks for the next page when a page's beginning names it", async () => {
    const third = createLatch();
    const history = await historyOf(async (pageToken, stream) => {
      if (pageToken === "") return void stream.end(page("second", 3));
      if (pageToken === "third") {
        third.open();
        return void stream.end(page(1));
      }
      const bytes = page("third", 2);
      stream.write(bytes.subarray(0, 20));
      await third.promise;
      stream.end(bytes.subarray(20));
    });
    expect(await sequencesOf(history)).toEqual([3n, 2n, 1n]);
  });

  test("asks for two pages while one is handed out, and for no more", async () => {
    const asked: string[] = [];
    const fourth = createLatch();
    const rest = createLatch();
    const following = new Map([
      ["", page("second", 5)],
      ["second", page("third", 4)],
      ["third", page("fourth", 3)],
      ["fourth", page("fifth", 2)],
    ]);
    const history = await historyOf(async (pageToken, stream) => {
      asked.push(pageToken);
      const bytes = following.get(pageToken) ?? page(1);
      const isHeld = pageToken === "third" || pageToken === "fourth";
      stream.write(bytes.subarray(0, 20));
      if (pageToken === "fourth") fourth.open();
      if (isHeld) await rest.promise;
      stream.end(bytes.subarray(20));
    });
    const sequences: bigint[] = [];
    for await (const { sequence } of history) {
      sequences.push(sequence);
      if (sequence !== 4n) continue;
      await fourth.promise;
      // What the fourth page has named would have been asked for by the time the second of these calls arrives.
      await history.page("probe");
      await history.page("probe");
      expect(asked).toEqual(["", "second", "third", "fourth", "probe", "probe"]);
      rest.open();
    }
    expect(sequences).toEqual([5n, 4n, 3n, 2n, 1n]);
    expect(asked.slice(6)).toEqual(["fifth"]);
  });

  test("hands out no page that had arrived when it was given up", async () => {
    const following = new Map([
      ["", page("second", 3)],
      ["second", page("third", 2)],
    ]);
    const controller = new AbortController();
    const third = createLatch();
    const history = await historyOf((pageToken, stream) => {
      stream.end(following.get(pageToken) ?? page(1));
      if (pageToken === "third") third.open();
    }, controller.signal);
    const sequences: bigint[] = [];
    const read = async () => {
      for await (const { sequence } of history) {
        sequences.push(sequence);
        if (sequence !== 2n) continue;
        await third.promise;
        // Its answer comes behind that of the third page.
        await history.page("probe");
        controller.abort();
      }
    };
    await expect(read()).rejects.toThrow(CancelledError);
    expect(sequences).toEqual([3n, 2n]);
  });

  test("lets others run while a long page is handed out", async () => {
    const sequences = Array.from({ length: 600 }, (_, index) => index + 1);
    const history = await historyOf((_, stream) => void stream.end(page(...sequences)));
    let turns = 0;
    const countTurns = () => {
      turns += 1;
      if (turns < 1_000) setImmediate(countTurns);
    };
    const turnsAt: number[] = [];
    for await (const { sequence } of history) {
      if (sequence === 1n) setImmediate(countTurns);
      turnsAt.push(turns);
    }
    expect(turnsAt[255]).toBe(0);
    expect(turnsAt[599]).toBeGreaterThan(1);
  });

  test("goes on with the page that the whole page names last", async () => {
    const wrong = createLatch();
    const history = await historyOf(async (pageToken, stream) => {
      if (pageToken === "") return void stream.end(page("second", 3));
      if (pageToken === "third") return void stream.end(page(1));
      if (pageToken === "wrong") {
        wrong.open();
        return void stream.end(page(9));
      }
      const bytes = page("wrong", 2, "third");
      stream.write(bytes.subarray(0, 20));
      await wrong.promise;
      stream.end(bytes.subarray(20));
    });
    expect(await sequencesOf(history)).toEqual([3n, 2n, 1n]);
  });

  test("hands out the signals before one that cannot be decoded, and fails there", async () => {
    const history = await historyOf((_, stream) => void stream.end(page(3, 2, Uint8Array.of(0x0a, 0x05), 1)));
    const sequences: bigint[] = [];
    const read = async () => {
      for await (const { sequence } of history) sequences.push(sequence);
    };
    await expect(read()).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(sequences).toEqual([3n, 2n]);
    await expect(history.page()).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});
