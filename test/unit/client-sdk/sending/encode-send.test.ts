import { describe, expect, test } from "@jest/globals";
import { InvalidRequestError } from "../../../../client-sdk/src/errors/coordination-client-error.js";
import { encodeSend } from "../../../../client-sdk/src/sending/encode-send.js";
import type { OutgoingSignal } from "../../../../client-sdk/src/sending/outgoing-signal.js";

const sender = { coordinationId: "c", agentId: "agent" };
const completed: OutgoingSignal = { event: { case: "agentCompleted", value: {} } };

describe("encodeSend", () => {
  test("is not changed by what happens to its lists afterwards", () => {
    const [recipients, artifactsGenerated] = [["a"], ["x"]];
    const signal: OutgoingSignal = { event: { case: "agentCompleted", value: { artifactsGenerated } }, recipients };
    const { request } = encodeSend(sender, signal);
    recipients.push("b");
    artifactsGenerated.push("y");
    expect(request).toMatchObject({ recipientAgentIds: ["a"], event: { value: { artifactsGenerated: ["x"] } } });
  });

  test.each<[string, Partial<OutgoingSignal>]>([
    ["a sequence below zero", { expectedSequence: -1n }],
    ["an empty request id", { requestId: "" }],
    ["recipients that are no list", { recipients: 5 as unknown as string[] }],
    ["an event without a value", { event: { case: "agentCompleted" } as OutgoingSignal["event"] }],
  ])("refuses %s", (_, part) => {
    expect(() => encodeSend(sender, { ...completed, ...part })).toThrow(InvalidRequestError);
  });
});
