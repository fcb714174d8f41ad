import { afterAll, describe, expect, test } from "@jest/globals";
import { DatabaseProxy } from "../support/database-proxy.js";
import { eventually } from "../support/eventually.js";
import { grpc } from "../support/test-client.js";
import { openTestPostgres } from "../support/test-postgres.js";
import { startTestServer } from "../support/test-server.js";
import { openSubscription } from "../support/test-subscription.js";

const postgres = await openTestPostgres();

afterAll(async () => postgres?.[Symbol.asyncDispose]());

(postgres === undefined ? describe.skip : describe)("a database that falls silent", () => {
  test("on the connection that hears the other servers is noticed, and signals come all the same", async () => {
    const url = (await postgres?.createDatabase()) ?? "";
    await using proxy = await DatabaseProxy.start(url);
    await using sender = await startTestServer(["--store", url]);
    await using server = await startTestServer(["--store", proxy.url]);
    using there = grpc.connect(sender.url);
    using here = grpc.connect(server.url);
    const send = ({ signals }: typeof here) =>
      signals.sendSignal({ coordinationId: "c", senderAgentId: "s", event: { case: "interAgentMessage", value: {} } });
    const logged = (text: string) => server.log.filter(({ msg }) => msg.includes(text)).length;
    await send(there);
    using subscription = openSubscription(here.signals, {
      coordinationId: "c",
      start: { case: "afterSequence", value: 0n },
    });
    await subscription.untilSignals(1);

    let silenced = 0;
    proxy.silence((connection) => {
      const isListening = connection.greeting().includes("LISTEN");
      if (isListening) silenced += 1;
      return isListening;
    });
    expect(silenced).toBe(1);
    await send(there);
    await subscription.untilSignals(2);
    await eventually(() => expect(logged("the store is out of reach")).toBe(1));
    await eventually(() => expect(logged("the store answers again")).toBe(1));
    await send(there);
    await send(here);
    const read = await subscription.untilSignals(4);
    expect(read.map(({ sequence }) => sequence)).toEqual([1n, 2n, 3n, 4n]);
  });
});
