import { createCoordinationClient } from "@coordination-signals/client";
import { afterAll, describe, expect, test } from "@jest/globals";
import { spawnServer } from "../support/spawned-server.js";
import { openTestPostgres } from "../support/test-postgres.js";

const postgres = await openTestPostgres();

afterAll(async () => postgres?.[Symbol.asyncDispose]());

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const total = 300;

(postgres === undefined ? describe.skip : describe)("a client with the addresses of several servers", () => {
  test("goes on without a gap or a repetition when the server it uses is killed", async () => {
    const flags = ["--store", (await postgres?.createDatabase()) ?? "", "--shutdown-grace", "1s"];
    await using one = await spawnServer(flags);
    await using two = await spawnServer(flags);
    await using client = createCoordinationClient({
      baseUrls: [one.url, two.url],
      retry: { initialDelayMs: 20, maxDelayMs: 500 },
    });
    const connections: { readonly baseUrl: string | undefined; readonly resumed: boolean }[] = [];
    const signals = client.coordination("c").subscribe({
      from: "earliest",
      onStatus: (status) => {
        if (status.type === "connected") connections.push({ baseUrl: status.baseUrl, resumed: status.resumed });
      },
    });
    await signals.ready();
    const [used, other] = connections[0]?.baseUrl === one.url ? [one, two] : [two, one];

    const session = client.coordination("c", { agentId: "worker" });
    const sending = (async () => {
      const sequences: bigint[] = [];
      for (const number of range(total)) {
        sequences.push((await session.message({ messageType: "note", message: `${number}` })).sequence);
        if (number === total / 3) used.kill("SIGKILL");
      }
      return sequences;
    })();
    const read: { readonly sequence: bigint; readonly message: string }[] = [];
    for await (const { sequence, event } of signals) {
      read.push({ sequence, message: event.case === "interAgentMessage" ? event.value.message : "" });
      if (read.length === total) break;
    }

    const expected = range(total).map((number) => ({ sequence: BigInt(number + 1), message: `${number}` }));
    expect(read).toEqual(expected);
    expect(await sending).toEqual(expected.map(({ sequence }) => sequence));
    expect(connections.at(-1)).toEqual({ baseUrl: other.url, resumed: true });
  });
});
