import type { Socket } from "node:net";

/** The protocols that share the port. */
export type HttpVersion = "http/1.1" | "h2";

/** Enough of the HTTP/2 preface ("PRI * HTTP/2.0 ...") to tell it from the methods of HTTP/1.1. */
const http2Start = "PRI";

/**
 * Looks at the first bytes of a connection, puts them back, and says which protocol it speaks. Says nothing when the
 * connection ends or stays silent; that it does not stay silent for long is for its owner to see to.
 */
export function detectProtocol(socket: Socket, onDetected: (version: HttpVersion) => void): void {
  let head: Buffer = Buffer.alloc(0);
  const onReadable = () => {
    const piece: Buffer | null = socket.read();
    if (piece === null) return;
    head = head.byteLength === 0 ? piece : Buffer.concat([head, piece]);
    const start = head.toString("latin1", 0, http2Start.length);
    // Kept aside rather than put back while undecided: putting back announces the same bytes again.
    if (start.length < http2Start.length && http2Start.startsWith(start)) return;
    stop();
    socket.unshift(head);
    onDetected(start === http2Start ? "h2" : "http/1.1");
  };
  const onEnd = () => {
    stop();
    socket.destroy();
  };
  const stop = () => {
    socket.off("readable", onReadable);
    socket.off("end", onEnd);
    socket.off("close", stop);
  };
  socket.on("readable", onReadable);
  socket.on("end", onEnd);
  socket.on("close", stop);
}
