import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseCommandLine, renderFlagTable, type ServerConfig } from "../../../server/src/config.js";
import { maxRedactedPaths } from "../../../server/src/model/limits.js";
import { serverFlags, variableOf } from "../../../server/src/server-flags.js";

function parse(args: readonly string[], env: Record<string, string> = {}) {
  return parseCommandLine({ args, env, version: "1.2.3" });
}

function config(args: readonly string[], env: Record<string, string> = {}): ServerConfig {
  const commandLine = parse(args, env);
  if (commandLine.kind !== "serve") throw new Error(JSON.stringify(commandLine));
  return commandLine.config;
}

function refusal(args: readonly string[], env: Record<string, string> = {}): string {
  const commandLine = parse(args, env);
  return commandLine.kind === "refused" ? commandLine.message : commandLine.kind;
}

describe("the settings", () => {
  test("have these values when nothing is said", () => {
    expect(config([])).toEqual({
      host: "127.0.0.1",
      port: 50_051,
      store: "lmdb:.coordination",
      maxHistorySignals: 10_000,
      senderValidation: "warn",
      recipientValidation: "enforce",
      redact: [],
      maxCoordinations: 100_000,
      maxSubscriptions: 50_000,
      waitValidation: "off",
      maxWaits: 20_000,
      busyStallMs: 300_000,
      waitingStallMs: 600_000,
      subscriberStallTimeoutMs: 60_000,
      maxConnections: 20_000,
      maxStreamsPerConnection: 10_000,
      maxCalls: 100_000,
      maxCallTimeMs: 576 * 3_600_000,
      prefaceTimeoutMs: 5_000,
      requestTimeoutMs: 30_000,
      idleTimeoutMs: 300_000,
      keepaliveIntervalMs: 30_000,
      shutdownGraceMs: 8_000,
      allowedOrigins: [],
      logLevel: "info",
      logFormat: "json",
    });
  });

  test("come from a flag before its variable before the default", () => {
    const env = { COORDINATION_PORT: "2", COORDINATION_HOST: "::1" };
    expect(config(["--port", "1"], env)).toMatchObject({ port: 1, host: "::1", maxHistorySignals: 10_000 });
    expect(config(["--port=3", "--port=4"])).toMatchObject({ port: 4 });
  });

  test("have paths of --redact with commas where a key is quoted", () => {
    const paths = (text: string) => config(["--redact", text]).redact;
    expect(paths(" payload.token,, metadata.key ,")).toEqual(["payload.token", "metadata.key"]);
    expect(paths("payload.`a,b`.c,payload.`d.e,f`, `g,h`")).toEqual(["payload.`a,b`.c", "payload.`d.e,f`", "`g,h`"]);
    // A backtick that begins no key quotes nothing, and one that is not closed is for the path's own error.
    expect(paths("payload.a`b,payload.c`d")).toEqual(["payload.a`b", "payload.c`d"]);
    expect(paths("payload.`a,b")).toEqual(["payload.`a", "b"]);
  });

  test("take an empty variable as absent", () => {
    expect(config([], { COORDINATION_PORT: "" }).port).toBe(50_051);
  });

  test("are named with dashes and, as variables, in upper case", () => {
    expect(variableOf("max-history-signals")).toBe("COORDINATION_MAX_HISTORY_SIGNALS");
    expect(config([], { COORDINATION_MAX_HISTORY_SIGNALS: "5" }).maxHistorySignals).toBe(5);
  });

  test.each([
    ["500ms", 500],
    ["5s", 5_000],
    ["2m", 120_000],
    ["1h", 3_600_000],
  ])("take %s as a duration of %d milliseconds", (text, milliseconds) => {
    expect(config(["--idle-timeout", text]).idleTimeoutMs).toBe(milliseconds);
  });

  test("take origins as a list", () => {
    expect(config(["--cors-origin", "https://a.example, http://localhost:8080"]).allowedOrigins).toEqual([
      "https://a.example",
      "http://localhost:8080",
    ]);
    expect(config(["--cors-origin", "*"]).allowedOrigins).toEqual(["*"]);
  });
});

describe("a wrong setting", () => {
  test.each([
    [["--port", "70000"], '--port is "70000", allowed is a whole number from 0 to 65535'],
    [["--port", "-1"], '--port is "-1", allowed is a whole number from 0 to 65535'],
    [["--port", "1e3"], '--port is "1e3", allowed is a whole number from 0 to 65535'],
    [["--host", ""], '--host is "", allowed is a host name or address'],
    [
      ["--store", "postgres"],
      '--store is "postgres", allowed is memory: (lost when the process ends), lmdb:DIRECTORY or postgres://USER:PASSWORD@HOST:PORT/DATABASE',
    ],
    [
      ["--store", "lmdb:"],
      '--store is "lmdb:", allowed is memory: (lost when the process ends), lmdb:DIRECTORY or postgres://USER:PASSWORD@HOST:PORT/DATABASE',
    ],
    [
      ["--store", "mysql://me:p@ss/word@host/db?password=secret"],
      '--store is "mysql://me@host/db", allowed is memory: (lost when the process ends), lmdb:DIRECTORY or postgres://USER:PASSWORD@HOST:PORT/DATABASE',
    ],
    [
      ["--idle-timeout", "5"],
      '--idle-timeout is "5", allowed is a duration from 100ms to 24h, such as 500ms, 5s, 2m or 1h',
    ],
    [
      ["--shutdown-grace", "10s"],
      '--shutdown-grace is "10s", allowed is a duration from 0s to 9s, such as 500ms, 5s, 2m or 1h',
    ],
    [
      ["--log-level", "loud"],
      '--log-level is "loud", allowed is one of fatal, error, warn, info, debug, trace, silent',
    ],
    [
      ["--cors-origin", "a.example/"],
      '--cors-origin is "a.example/", allowed is a comma-separated list of origins such as https://example.com, or *',
    ],
  ])("%j is refused by name, with its value and what is allowed", (args, message) => {
    expect(refusal(args)).toBe(message);
  });

  test("in a variable names the variable", () => {
    expect(refusal([], { COORDINATION_PORT: "x" })).toBe(
      'COORDINATION_PORT is "x", allowed is a whole number from 0 to 65535',
    );
  });

  test.each([
    [["--prot", "1"], "unknown option '--prot' (Did you mean --port?)"],
    [["--port"], "option '--port <number>' argument missing"],
    [["serve"], "too many arguments. Expected 0 arguments but got 1."],
  ])("%j is told in one line", (args, message) => {
    expect(refusal(args)).toBe(message);
  });

  test("never throws, whatever it is", () => {
    const names = Object.values(serverFlags).map(({ name }) => `--${name}`);
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...names), fc.string())), (args) => {
        expect(["serve", "print", "refused"]).toContain(parse(args).kind);
      }),
    );
  });
});

describe("help and version", () => {
  test("print every flag with its default and variable", () => {
    const help = parse(["--help"]);
    if (help.kind !== "print") throw new Error(help.kind);
    const text = help.text.replaceAll(/\s+/g, " ");
    for (const { name, defaultText, description } of Object.values(serverFlags)) {
      expect(text).toContain(`--${name} <`);
      expect(text).toContain(`${description} (default ${defaultText || "none"}; ${variableOf(name)})`);
    }
  });

  test("name the limit of the paths that are redacted", () => {
    expect(serverFlags.redact.description).toContain(`at most ${maxRedactedPaths} paths`);
  });

  test("print the version", () => {
    expect(parse(["--version"])).toEqual({ kind: "print", text: "1.2.3\n" });
  });

  test("win over other flags", () => {
    expect(parse(["--port", "1", "--help"]).kind).toBe("print");
  });
});

describe("renderFlagTable", () => {
  test("has a row for every flag", () => {
    const table = renderFlagTable();
    expect(table.split("\n")).toHaveLength(3 + Object.keys(serverFlags).length);
    expect(table).toContain("| `--port` | `COORDINATION_PORT` | `50051` | port to listen on; 0 picks a free one |");
    expect(table).toMatch(/^\| flag \| variable \| default \| meaning \|\n\|---\|---\|---\|---\|\n/);
  });
});
