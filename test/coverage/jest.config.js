import base from "../jest.config.js";

/** @type {import("jest").Config} */
const config = {
  ...base,
  rootDir: "../..",
  resolver: "<rootDir>/test/coverage/built-resolver.cjs",
  testEnvironment: "<rootDir>/test/coverage/recording-environment.js",
};

// biome-ignore lint/style/noDefaultExport: the form in which jest reads its configuration
export default config;
