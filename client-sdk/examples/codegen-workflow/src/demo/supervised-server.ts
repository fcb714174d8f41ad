/** The coordination server as the demo starts it: it also ends, as after SIGTERM, when the demo ends without saying so. */
process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
// The channel carries nothing; listening for its end must not keep the server alive.
process.channel?.unref();
await import(new URL("../bin/coordination-server.js", import.meta.resolve("@coordination-signals/server")).href);
