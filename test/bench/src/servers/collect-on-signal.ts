/**
 * Loaded before a Node server whose memory is measured: on SIGUSR2 it collects garbage and prints what is left, so that
 * figures do not depend on when the last collection was.
 */

/** What the report begins with; the bytes in use on the heap and in buffers follow as JSON. */
export const collectedPrefix = "collected ";

const collect: unknown = Reflect.get(globalThis, "gc");

if (typeof collect === "function") {
  process.on("SIGUSR2", () => {
    collect();
    collect();
    const { heapUsed, external } = process.memoryUsage();
    process.stderr.write(`${collectedPrefix}${JSON.stringify({ heapUsed, external })}\n`);
  });
}
