import { Code } from "@connectrpc/connect";
import type { GetSignalHistoryRequest } from "@coordination-signals/proto/coordination/v1/signal_service";
import { describe, expect, test } from "@jest/globals";
import { CancelledError, InvalidRequestError, NotFoundError } from "../../../../client-sdk/src/index.js";
import { contractError } from "../support/contract-errors.js";
import { createLatch } from "../support/latch.js";
import { connectScripted } from "../support/scripted-client.js";
import { signalAt } from "../support/scripted-log.js";
import { clientLeft, type Script } from "../support/scripted-server.js";

/** Three pages of two signals, the middle one empty. */
function threePages(requests: GetSignalHistoryRequest[] = []): Script {
  const pages: Readonly<Record<string, { signals: ReturnType<typeof signalAt>[]; nextPageToken: string }>> = {
    "": { signals: [signalAt(4), signalAt(3)], nextPageToken: "second" },
    second: { signals: [], nextPageToken: "third" },
    third: { signals: [signalAt(2), signalAt(1)], nextPageToken: "" },
  };
  return {
    signals: {
      getSignalHistory: (request) => {
        requests.push(request);
        return pages[request.pageToken] ?? { signals: [], nextPageToken: "" };
      },
    },
  };
}

async function sequencesOf(signals: AsyncIterable<{ readonly sequence: bigint }>): Promise<readonly bigint[]> {
  const sequences: bigint[] = [];
  for await (const { sequence } of signals) sequences.push(sequence);
  return sequences;
}

describe("SignalHistory", () => {
  test("hands out the signals of all pages", async () => {
    await using scripted = await connectScripted(threePages());
    const history = scripted.session.history();
    expect(await sequencesOf(history)).toEqual([4n, 3n, 2n, 1n]);
    expect(await sequencesOf(history)).toEqual([4n, 3n, 2n, 1n]);
  });

  test("asks for what its options say, page by page", async () => {
    const requests: GetSignalHistoryRequest[] = [];
    await using scripted = await connectScripted(threePages(requests));
    const options = { types: ["interAgentMessage"], order: "oldestFirst", pageSize: 2, senders: ["s*"] } as const;
    await sequencesOf(scripted.session.history(options));
    const expected = {
      coordinationId: "c",
      pageSize: 2,
      order: 2,
      filter: { signalTypes: [4], senderAgentIds: ["s*"] },
    };
    expect(requests).toMatchObject([expected, expected, expected]);
    expect(requests.map(({ pageToken }) => pageToken)).toEqual(["", "second", "third"]);
  });

  test("reads no more pages than its limit needs", async () => {
    const requests: GetSignalHistoryRequest[] = [];
    await using scripted = await connectScripted(threePages(requests));
    expect(await sequencesOf(scripted.session.history({ limit: 2 }))).toEqual([4n, 3n]);
    expect(await sequencesOf(scripted.session.history({ limit: 0 }))).toEqual([]);
    expect(requests).toHaveLength(1);
  });

  test("reads the next page while one is handed out, from the second on, and cancels it when its reader leaves", async () => {
    const asked: string[] = [];
    const third = createLatch();
    const left = createLatch();
    await using scripted = await connectScripted({
      signals: {
        getSignalHistory: async ({ pageToken }, context) => {
          asked.push(pageToken);
          if (pageToken === "") return { signals: [signalAt(3)], nextPageToken: "second" };
          if (pageToken === "second") return { signals: [signalAt(2)], nextPageToken: "third" };
          third.open();
          await clientLeft(context);
          left.open();
          return {};
        },
      },
    });
    const askedAt: (readonly string[])[] = [];
    for await (const { sequence } of scripted.session.history()) {
      if (sequence === 2n) await third.promise;
      askedAt.push([...asked]);
      if (sequence === 2n) break;
    }
    await left.promise;
    expect(askedAt).toEqual([[""], ["", "second", "third"]]);
  });

  test("reads the second page while the first is handed out when its limit needs both", async () => {
    const second = createLatch();
    await using scripted = await connectScripted({
      signals: {
        getSignalHistory: ({ pageToken }) => {
          if (pageToken === "") return { signals: [signalAt(2)], nextPageToken: "second" };
          second.open();
          return { signals: [signalAt(1)] };
        },
      },
    });
    const sequences: bigint[] = [];
    for await (const { sequence } of scripted.session.history({ limit: 2 })) {
      if (sequence === 2n) await second.promise;
      sequences.push(sequence);
    }
    expect(sequences).toEqual([2n, 1n]);
  });

  test("answers calls that do not wait for each other in their order", async () => {
    await using scripted = await connectScripted(threePages());
    const signals = scripted.session.history()[Symbol.asyncIterator]();
    const calls = [signals.next(), signals.next(), signals.next(), signals.return(), signals.next()];
    expect((await Promise.all(calls)).map(({ value }) => value?.sequence)).toEqual([4n, 3n, 2n, undefined, undefined]);
  });

  test("is over once it was left, with an error or without", async () => {
    await using scripted = await connectScripted(threePages());
    const history = scripted.session.history();
    const over = { done: true, value: undefined };
    const thrown = history[Symbol.asyncIterator]();
    await thrown.next();
    await expect(thrown.throw(new RangeError("enough"))).rejects.toThrow(RangeError);
    expect(await thrown.next()).toEqual(over);
    const left = history[Symbol.asyncIterator]();
    await left.next();
    await left[Symbol.asyncDispose]();
    expect(await left.next()).toEqual(over);
    const unread = history[Symbol.asyncIterator]();
    expect(await unread.return()).toEqual(over);
    expect(await unread.next()).toEqual(over);
  });

  test("hands out pages, and single ones by their token", async () => {
    await using scripted = await connectScripted(threePages());
    const history = scripted.session.history();
    const lengths: number[] = [];
    for await (const { signals } of history.pages()) lengths.push(signals.length);
    expect(lengths).toEqual([2, 0, 2]);
    expect(await history.page()).toMatchObject({ nextPageToken: "second" });
    expect(await history.page("third")).toMatchObject({ nextPageToken: undefined });
  });

  test("does not go round in circles", async () => {
    const script = { signals: { getSignalHistory: () => ({ signals: [], nextPageToken: "again" }) } };
    await using scripted = await connectScripted(script);
    await expect(sequencesOf(scripted.session.history())).rejects.toMatchObject({ reason: "UNEXPECTED_RESPONSE" });
  });

  test("refuses a signal of a type that was not asked for", async () => {
    await using scripted = await connectScripted(threePages());
    const read = sequencesOf(scripted.session.history({ types: ["agentCompleted"] }));
    await expect(read).rejects.toMatchObject({ reason: "UNEXPECTED_RESPONSE" });
  });

  test("refuses options that cannot be understood", async () => {
    await using scripted = await connectScripted({});
    const read = (options: object) => () => scripted.session.history(options);
    expect(read({ sender: "a" })).toThrow(InvalidRequestError);
    expect(read({ order: "random" })).toThrow(InvalidRequestError);
    expect(read({ senders: [] })).toThrow(InvalidRequestError);
  });

  test("fails while there is no such coordination", async () => {
    const getSignalHistory = () => {
      throw contractError({ code: Code.NotFound, reason: "COORDINATION_NOT_FOUND" });
    };
    await using scripted = await connectScripted({ signals: { getSignalHistory } });
    await expect(sequencesOf(scripted.session.history())).rejects.toThrow(NotFoundError);
  });

  test("gives up when its AbortSignal is aborted", async () => {
    await using scripted = await connectScripted(threePages());
    const controller = new AbortController();
    const history = scripted.session.history({ signal: controller.signal });
    const read = async () => {
      for await (const _ of history) controller.abort();
    };
    await expect(read()).rejects.toThrow(CancelledError);
  });
});
