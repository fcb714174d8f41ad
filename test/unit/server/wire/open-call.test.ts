import { EventEmitter } from "node:events";
import { describe, expect, test } from "@jest/globals";
import { OpenCall } from "../../../../server/src/wire/open-call.js";
import { defaultPortLimits } from "../../../../server/src/wire/port-limits.js";

const limits = { ...defaultPortLimits, subscriberStallTimeoutMs: 1_000 };

/** A call over HTTP/1.1 on a socket that is not there, with a number of bytes that wait. */
function openCall() {
  const socket = Object.assign(new EventEmitter(), { remoteAddress: "10.0.0.1", remotePort: 4711, destroyed: false });
  const destroy = () => {
    socket.destroyed = true;
  };
  const response = { writableLength: 0 };
  const request = { url: "/a/b?c=d", socket: Object.assign(socket, { destroy }) };
  return { call: new OpenCall(request as never, response as never, 0), response, socket };
}

describe("OpenCall.check", () => {
  test("leaves a response alone that has nothing waiting, however long", () => {
    const { call, socket } = openCall();
    call.wrote(100);
    expect(call.check(10_000_000, limits)).toBeUndefined();
    expect(socket.destroyed).toBe(false);
  });

  test("ends a response of which nothing was accepted for the timeout, and says since when", () => {
    const { call, response, socket } = openCall();
    call.wrote(300);
    response.writableLength = 200;
    expect(call.check(500, limits)).toBeUndefined();
    expect(call.check(1_499, limits)).toBeUndefined();
    expect(call.check(1_500, limits)).toEqual({
      path: "/a/b",
      peer: "10.0.0.1:4711",
      stalledMs: 1_000,
      pendingBytes: 200,
    });
    expect(socket.destroyed).toBe(true);
  });

  test("counts any accepted byte as progress", () => {
    const { call, response } = openCall();
    call.wrote(1_000);
    for (let nowMs = 0; nowMs < 50_000; nowMs += 900) {
      response.writableLength = 1_000 - nowMs / 100;
      expect(call.check(nowMs, limits)).toBeUndefined();
    }
  });

  test("does not count what is added as progress", () => {
    const { call, response } = openCall();
    call.wrote(100);
    response.writableLength = 100;
    call.check(0, limits);
    call.wrote(100);
    // HTTP/1.1 adds the framing of the chunk to what waits.
    response.writableLength = 205;
    call.check(900, limits);
    expect(call.check(1_000, limits)).toMatchObject({ pendingBytes: 205 });
  });

  test("reports a stalled response once", () => {
    const { call, response } = openCall();
    call.wrote(100);
    response.writableLength = 100;
    expect([0, 1_000, 2_000, 3_000].map((nowMs) => call.check(nowMs, limits)?.stalledMs)).toEqual([
      undefined,
      1_000,
      undefined,
      undefined,
    ]);
  });
});

describe("OpenCall.signal", () => {
  test("aborts as cancelled when the client leaves before the answer", () => {
    const { call } = openCall();
    call.markClosed();
    expect(String(call.signal.reason)).toBe("ConnectError: [canceled] client has left");
  });

  test("aborts as exhausted when the response was ended because it stalled", () => {
    const { call, response } = openCall();
    call.wrote(100);
    response.writableLength = 100;
    call.check(0, limits);
    call.check(1_000, limits);
    call.markClosed();
    expect(String(call.signal.reason)).toBe(
      "ConnectError: [resource_exhausted] client has accepted nothing for 1000 ms",
    );
  });

  test("does not abort when the call was answered", () => {
    const { call } = openCall();
    call.answered();
    call.markClosed();
    expect(call.signal.aborted).toBe(false);
  });
});
