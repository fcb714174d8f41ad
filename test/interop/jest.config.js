import base from "../jest.config.js";

/** @type {import("jest").Config} */
const config = {
  ...base,
  rootDir: "../..",
  testMatch: ["<rootDir>/test/interop/**/*.test.ts"],
  testTimeout: 60_000,
};

// biome-ignore lint/style/noDefaultExport: the form in which jest reads its configuration
export default config;
