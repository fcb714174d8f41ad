/**
 * A store's URL as it may be shown: without the password, and without parameters, which can hold one too. What has no
 * authority, such as `lmdb:DIR`, is shown as it is.
 */
export function redactedUrl(url: string): string {
  const start = url.indexOf("://");
  if (start === -1) return url;
  const scheme = url.slice(0, start + "://".length);
  const rest = url.slice(scheme.length);
  // A password may hold any character that its owner forgot to encode; what follows the last @ is no part of it.
  const at = rest.lastIndexOf("@");
  const user = at === -1 ? "" : `${rest.slice(0, at).split(":", 1)[0]}@`;
  const [place = ""] = rest.slice(at + 1).split("?", 1);
  return `${scheme}${user}${place}`;
}
