/**
 * The layers of the sources, checked by `npm run lint:layers`.
 *
 * server/src has rows: a file imports from its own row or from rows below it. Each driver and each wire library has one
 * place, so that a change of either stays there. Type-only imports count: a layer that names another's types knows it.
 */

const { builtinModules } = require("node:module");

/** Rows of server/src from the lowest. Every other file at the top of server/src composes the rest: the last row. */
const ROWS = [
  "model/",
  "metrics/",
  "store/",
  "state/",
  "(registry|delivery|coordination)/",
  "signal-coordinator[.]ts$",
  "rpc/",
  "wire/",
  "(?!signal-coordinator[.]ts$)[^/]+[.]ts$",
];
const SERVER = "^server/src/";

const inRows = (first, last) => `${SERVER}(${ROWS.slice(first, last).join("|")})`;

const upwards = ROWS.slice(0, -1).map((row, index) => ({
  name: `server-row-${index}-imports-upwards`,
  severity: "error",
  comment: "A file of server/src imports from its own row or from rows below it.",
  from: { path: `${SERVER}${row}` },
  to: { path: inRows(index + 1) },
}));

/** A package (or several, as an expression) that server/src imports nowhere but in one place. */
const only = (name, packages, place) => ({
  name: `${name}-only-in-its-place`,
  severity: "error",
  comment: `${packages} is imported only by ${place}.`,
  from: { path: SERVER, pathNot: place },
  to: { path: `^(node:)?(${packages})$|node_modules/(${packages})/` },
});

/** As `only`, but elsewhere its types may be named: what is injected has a type. */
const onlyValuesOf = (name, packages, place) => {
  const rule = only(name, packages, place);
  return { ...rule, to: { ...rule.to, dependencyTypesNot: ["type-only"] } };
};

/** A part of the tree that must not import another. */
const never = (name, from, to, comment) => ({
  name,
  severity: "error",
  comment,
  from: { path: from },
  to: { path: to },
});

const LAST_ROW = `${SERVER}${ROWS.at(-1)}`;

module.exports = {
  forbidden: [
    ...upwards,
    {
      name: "server-folder-without-row",
      severity: "error",
      comment: "A new folder of server/src takes its place in the rows above.",
      from: {},
      to: { path: `${SERVER}[^/]+/`, pathNot: inRows(0) },
    },
    {
      name: "no-cycles",
      severity: "error",
      comment: "Files that import each other in a circle are one file in disguise.",
      from: {},
      to: { circular: true },
    },
    only("prom-client", "prom-client", `${SERVER}metrics/`),
    only("lmdb", "lmdb", `${SERVER}store/lmdb/`),
    only("pg", "pg|@types/pg", `${SERVER}store/postgres/`),
    only("connect", "@connectrpc", `${inRows(6, 8)}|${LAST_ROW}`),
    only("web-servers", "tls|http|http2|@connectrpc/connect-node", `${SERVER}wire/|${LAST_ROW}`),
    only("process-libraries", "commander|zod", LAST_ROW),
    onlyValuesOf("logger", "pino", LAST_ROW),
    never(
      "stores-apart",
      `${SERVER}store/([^/]+)/`,
      `${SERVER}store/(?!$1/)[^/]+/`,
      "Each store is alone with its driver.",
    ),
    never("server-without-client", "^server/", "^client-sdk/", "The server does not know its clients."),
    never("client-without-server", "^client-sdk/src/", "^server/", "The SDK knows the contract, not the server."),
    never(
      "example-through-the-front-door",
      "^client-sdk/examples/",
      "^(client-sdk|server)/src/",
      "Examples import packages by name, as users do.",
    ),
    {
      name: "browser-without-node",
      severity: "error",
      comment: "What the browser entry reaches runs in a browser.",
      from: { path: "^client-sdk/src/browser[.]ts$" },
      to: { reachable: true, path: `^(${builtinModules.join("|")})$|node_modules/(@connectrpc/connect-node|@grpc)/` },
    },
    {
      name: "resolvable",
      severity: "error",
      comment: "Every import resolves.",
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules|^proto/gen/|(^|/)dist/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.base.json" },
    combinedDependencies: false,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "types", "node", "default"],
      mainFields: ["module", "main", "types"],
      extensions: [".ts", ".js", ".mjs", ".cjs", ".json", ".d.ts"],
    },
  },
};
