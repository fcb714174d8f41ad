/** HTTP/2 by hand over a TCP socket, for clients that misbehave in ways no library lets them. */
import { connect, type Socket } from "node:net";

/** Types of frames. */
export const frameType = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const;

/** One frame as it came. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
const frameHeaderBytes = 9;
const largestWindow = 0x7fff_ffff;

/** Encodes a frame. */
export function frame(type: number, flags: number, streamId: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUIntBE(payload.byteLength, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

/** The preface and settings of a client that takes as much as it is sent, as far as flow control is concerned. */
export function openingWithEndlessWindow(): Buffer {
  const initialWindowSize = Buffer.alloc(6);
  initialWindowSize.writeUInt16BE(4, 0);
  initialWindowSize.writeUInt32BE(largestWindow, 2);
  const increment = Buffer.alloc(4);
  increment.writeUInt32BE(largestWindow - 65_535);
  return Buffer.concat([
    preface,
    frame(frameType.settings, 0, 0, initialWindowSize),
    frame(frameType.windowUpdate, 0, 0, increment),
  ]);
}

/** The headers of a POST on a stream, which stays open for data unless `endStream`. */
export function postHeaders(
  streamId: number,
  path: string,
  contentType: string,
  extra: Readonly<Record<string, string>> = {},
): Buffer {
  const headers = {
    ":method": "POST",
    ":scheme": "http",
    ":path": path,
    ":authority": "localhost",
    "content-type": contentType,
    te: "trailers",
    ...extra,
  };
  const literal = Object.entries(headers).map(([name, value]) =>
    Buffer.concat([Buffer.from([0]), lengthPrefixed(name), lengthPrefixed(value)]),
  );
  return frame(frameType.headers, 0x4, streamId, Buffer.concat(literal));
}

/** Data on a stream, its last with `end`. */
export function data(streamId: number, payload: Uint8Array, end = false): Buffer {
  return frame(frameType.data, end ? 1 : 0, streamId, payload);
}

/** A message in the envelope of gRPC and of Connect streams. */
export function envelope(message: Uint8Array, flags = 0): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(flags, 0);
  header.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([header, message]);
}

function lengthPrefixed(text: string): Buffer {
  if (text.length > 126) throw new Error("longer names and values need a longer length");
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text, "latin1")]);
}

/** A connection whose frames are read on request only. */
export interface RawConnection extends AsyncDisposable {
  readonly socket: Socket;
  /** Resolves with the next frame for which `matches` is true; `undefined` when the connection closes before. */
  frame(matches: (frame: Frame) => boolean): Promise<Frame | undefined>;
  /** Resolves when the connection has closed. */
  readonly closed: Promise<void>;
}

/** Connects. Bytes are read from the start, unless `reads` is false: then none ever is. */
export async function rawConnect(
  port: number,
  { reads = true }: { readonly reads?: boolean } = {},
): Promise<RawConnection> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  let received = Buffer.alloc(0);
  let wake = () => {};
  let isClosed = false;
  // A connection that the server ends while bytes are on their way is reset.
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => {
      isClosed = true;
      wake();
      resolve();
    });
  });
  if (reads) {
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      wake();
    });
  }
  const nextFrame = (): Frame | undefined => {
    if (received.byteLength < frameHeaderBytes) return undefined;
    const end = frameHeaderBytes + received.readUIntBE(0, 3);
    if (received.byteLength < end) return undefined;
    const next = {
      type: received.readUInt8(3),
      flags: received.readUInt8(4),
      streamId: received.readUInt32BE(5),
      payload: received.subarray(frameHeaderBytes, end),
    };
    received = received.subarray(end);
    return next;
  };
  return {
    socket,
    closed,
    frame: async (matches) => {
      for (;;) {
        for (let next = nextFrame(); next !== undefined; next = nextFrame()) if (matches(next)) return next;
        if (isClosed) return undefined;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    [Symbol.asyncDispose]: async () => {
      socket.destroy();
      await closed;
    },
  };
}
