import { describe, expect, test } from "@jest/globals";
import { formatLogLine } from "../../../server/src/format-log-line.js";
import { createLogger } from "../../../server/src/logger.js";

function logTo(config: Parameters<typeof createLogger>[0]) {
  const lines: string[] = [];
  return { lines, logger: createLogger(config, { write: (line) => void lines.push(line) }) };
}

describe("createLogger", () => {
  test("writes JSON with level, time, fields and message", () => {
    const { lines, logger } = logTo({ logLevel: "info", logFormat: "json" });
    logger.info({ port: 1 }, "listening");
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ level: 30, port: 1, msg: "listening" }]);
  });

  test("writes nothing below its level", () => {
    const { lines, logger } = logTo({ logLevel: "warn", logFormat: "json" });
    logger.info("not this");
    expect(lines).toEqual([]);
  });

  test("writes a line for people when asked", () => {
    const { lines, logger } = logTo({ logLevel: "debug", logFormat: "text" });
    logger.warn({ peer: "a:1", count: 2 }, "refused");
    expect(lines).toEqual([expect.stringMatching(/^\d\d:\d\d:\d\d\.\d\d\d WARN {2}refused peer=a:1 count=2\n$/)]);
  });
});

describe("formatLogLine", () => {
  test("puts the stack of an error below", () => {
    const line = JSON.stringify({
      level: 50,
      time: 0,
      msg: "failed",
      err: { message: "bad", stack: "Error: bad\n    at x" },
    });
    expect(formatLogLine(line)).toBe("00:00:00.000 ERROR failed\nError: bad\n    at x\n");
  });

  test("shows fields that are no text as JSON, and does without what is missing", () => {
    expect(formatLogLine('{"level":35,"time":0,"err":null,"list":[1]}')).toBe("00:00:00.000 ?      list=[1]\n");
    expect(formatLogLine('{"level":10,"time":0,"err":{"message":"m"},"msg":"x"}')).toBe("00:00:00.000 TRACE x\nm\n");
  });
});
