/**
 * Sources import each other as `./x.js`, the name after the build. Under test they are read as TypeScript, so a relative
 * `.js` that does not exist is looked up as `.ts`.
 */
module.exports = (request, options) => {
  const isRelativeJs = /^\.{1,2}\//.test(request) && request.endsWith(".js");
  try {
    return options.defaultResolver(request, options);
  } catch (error) {
    if (!isRelativeJs) throw error;
    return options.defaultResolver(`${request.slice(0, -3)}.ts`, options);
  }
};
