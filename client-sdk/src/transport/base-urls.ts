import { invalidOption } from "../errors/invalid-option.js";

/** Where the server is: one address, or those of the replicas that share one database. */
export type CoordinationClientAddress =
  | {
      /** Where the server is, for example `http://localhost:50051`. */
      readonly baseUrl: string;
      /** Not together with `baseUrl`. */
      readonly baseUrls?: undefined;
    }
  | {
      /**
       * Where its replicas are, 1 to 100 addresses without duplicates. One is used at a time, the first one chosen by chance;
       * when it fails, the next one follows.
       */
      readonly baseUrls: readonly string[];
      /** Not together with `baseUrls`. */
      readonly baseUrl?: undefined;
    };

/** Addresses in one list; a database has far fewer replicas in front of it. */
const maxAddresses = 100;

/** Lists a client's addresses. Throws InvalidRequestError unless there is exactly one option, with something in it, each once. */
export function baseUrlsFrom({ baseUrl, baseUrls }: Partial<CoordinationClientAddress>): readonly string[] {
  if (baseUrl !== undefined && baseUrls !== undefined)
    throw invalidOption("baseUrl and baseUrls are both given, give one");
  if (baseUrl !== undefined) return [baseUrl];
  if (baseUrls === undefined) throw invalidOption("neither baseUrl nor baseUrls is given, give one");
  if (baseUrls.length === 0) throw invalidOption("baseUrls is empty, it must have at least 1 address");
  if (baseUrls.length > maxAddresses) {
    throw invalidOption(`baseUrls has ${baseUrls.length} addresses, limit is ${maxAddresses}`);
  }
  assertDistinct(baseUrls);
  return [...baseUrls];
}

function assertDistinct(baseUrls: readonly string[]): void {
  const seen = new Set<string>();
  for (const baseUrl of baseUrls) {
    const address = normalized(baseUrl);
    if (seen.has(address)) throw invalidOption(`baseUrls names ${JSON.stringify(baseUrl)} twice`);
    seen.add(address);
  }
}

// In browsers an address may be relative, and is then compared as it stands.
function normalized(baseUrl: string): string {
  const address = URL.canParse(baseUrl) ? new URL(baseUrl).href : baseUrl;
  return address.endsWith("/") ? address.slice(0, -1) : address;
}
