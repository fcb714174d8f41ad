/** How far a client has come in accepting a response. */
export class ResponseProgress {
  #writtenBytes = 0;
  #acceptedBytes = 0;
  #acceptedMs: number;

  constructor(nowMs: number) {
    this.#acceptedMs = nowMs;
  }

  /** Notes that `bytes` more of the response were handed to Node.js. */
  wrote(bytes: number): void {
    this.#writtenBytes += bytes;
  }

  /** How long bytes have been waiting while none was accepted: the written less the waiting ones are the accepted ones. */
  sinceAcceptedMs(pendingBytes: number, nowMs: number): number {
    const accepted = this.#writtenBytes - pendingBytes;
    // HTTP/1.1 counts its framing among the waiting bytes, so the difference may also fall; only a rise is progress.
    if (pendingBytes === 0 || accepted > this.#acceptedBytes) {
      this.#acceptedBytes = accepted;
      this.#acceptedMs = nowMs;
    }
    return nowMs - this.#acceptedMs;
  }
}
