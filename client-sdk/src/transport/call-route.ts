import { type ContextValues, createContextKey, createContextValues } from "@connectrpc/connect";

/** Which of a client's addresses a call has gone to. */
export interface CallRoute {
  readonly baseUrl: string;
  /** Says that this address does not serve, in a way that the transport cannot see: the next call goes to the next one. */
  readonly leave: () => void;
}

/** Asks a transport for the route of one call. */
export interface RouteRequest {
  /** Passed to the call. */
  readonly contextValues: ContextValues;
  /** Known as soon as the call is made; `undefined` with a transport that does not tell. */
  readonly route: CallRoute | undefined;
}

interface RouteNote {
  route: CallRoute | undefined;
}

const routeNoteKey = createContextKey<RouteNote | undefined>(undefined, { description: "address of a call" });

/** Makes a request for one call's route. */
export function requestRoute(): RouteRequest {
  const note: RouteNote = { route: undefined };
  const contextValues = createContextValues().set(routeNoteKey, note);
  return {
    contextValues,
    get route() {
      return note.route;
    },
  };
}

/** Answers the request that a call carries, if it does. */
export function noteRoute(contextValues: ContextValues | undefined, route: CallRoute): void {
  const note = contextValues?.get(routeNoteKey);
  if (note !== undefined) note.route = route;
}
