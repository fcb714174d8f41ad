/** A text as it is, or, where it has more bytes in UTF-8, its beginning and three dots. Takes no character apart. */
export function cutTextToBytes(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  const kept = Buffer.from(text).subarray(0, Math.max(0, maxBytes - dots.length));
  // As of a stream of which more is to come: the first bytes of a character that was cut are held back.
  return `${new TextDecoder().decode(kept, { stream: true })}${dots}`;
}

const dots = "...";
