/**
 * Where the server does something else than the suite expects, on purpose, each with its reason. The suite names every
 * mismatch of a case; a case passes when each of its mismatches is explained here, so that nothing else hides behind one.
 */
export const knownDeviations = [
  {
    // Every error of this server says its reason in a `google.rpc.ErrorInfo`, also those of the protocol itself; the suite
    // counts the details and expects none.
    mismatch: /^actual error contain 1 details; expecting 0$/,
    cases: /./,
  },
  {
    // The same detail in JSON: the suite does not have its type. Go varies the space in the text.
    mismatch:
      /^connect error JSON: details\[0\]: .*"google\.rpc\.ErrorInfo" could not be resolved: proto:\s+not found$/,
    cases: /PROTOCOL_CONNECT|Connect Unexpected Requests/,
  },
  {
    // A request of no protocol is answered with its status (405, 415), and says in JSON what would be served. The suite
    // expects an empty body, of which its client makes "unknown".
    mismatch:
      /^actual error \{code: \d+ \(\w+\), message: "(content-type .* is not served|method DELETE is not allowed), .*\} does not match expected code 2 \(unknown\)$/,
    cases: /\/unexpected-(codec|content-type|verb)$/,
  },
  {
    // The same answers to clients of gRPC and gRPC-Web, which do not read the body; the suite's Connect checker does.
    mismatch: /^connect error JSON: unexpected end of JSON input$/,
    cases: /\/unexpected-(codec|content-type|verb)$/,
  },
];
