/** @type {import("jest").Config} */
const config = {
  rootDir: "..",
  roots: ["<rootDir>/test"],
  testMatch: ["<rootDir>/test/{unit,contract,integration,property}/**/*.test.ts"],
  testEnvironment: "node",
  extensionsToTreatAsEsm: [".ts"],
  resolver: "<rootDir>/test/source-resolver.cjs",
  transform: {
    "^.+\\.ts$": [
      "@swc/jest",
      {
        jsc: { parser: { syntax: "typescript" }, target: "es2022" },
        module: { type: "nodenext" },
        sourceMaps: "inline",
      },
    ],
  },
  reporters: ["default", "<rootDir>/test/support/closing-line-reporter.js"],
  maxWorkers: 2,
  testTimeout: 120_000,
};

// biome-ignore lint/style/noDefaultExport: the form in which jest reads its configuration
export default config;
