const sources = /^(.*\/(?:server|client-sdk))\/src\/(.*)[.]ts$/;
const resolveSource = require("../source-resolver.cjs");

/** Under coverage a test that imports a source gets the file built from it: the one that spawned processes run as well. */
module.exports = (request, options) => resolveSource(request, options).replace(sources, "$1/dist/$2.js");
