import type { Client, ContextValues } from "@connectrpc/connect";
import type {
  SignalService,
  SubscribeRequest,
  SubscribeResponse,
} from "@coordination-signals/proto/coordination/v1/signal_service";
import type { CoordinationClientError } from "../errors/coordination-client-error.js";
import type { ItemStream, SubscriptionItem } from "../transport/signal-streams.js";

/**
 * Reads a subscription through a Connect client, which every transport has. Must be cancelled: Connect's clients do not cancel
 * a stream that is no longer read.
 */
export class ConnectItemStream implements ItemStream {
  readonly #abort = new AbortController();
  readonly #responses: AsyncIterator<SubscribeResponse>;
  #response: SubscribeResponse | undefined;

  constructor(client: Client<typeof SignalService>, request: SubscribeRequest, contextValues: ContextValues) {
    const responses = client.subscribe(request, {
      signal: this.#abort.signal,
      // Switches off a default timeout of the transport: a subscription has no deadline.
      timeoutMs: 0,
      contextValues,
    });
    this.#responses = responses[Symbol.asyncIterator]();
  }

  async arrived(): Promise<boolean> {
    const { signal } = this.#abort;
    try {
      const result = await this.#responses.next();
      if (result.done === true) return false;
      this.#response = result.value;
      return true;
    } catch (thrown) {
      throw signal.aborted ? signal.reason : thrown;
    }
  }

  take(): SubscriptionItem {
    const response = this.#response;
    if (response === undefined) throw new Error("no item has arrived");
    this.#response = undefined;
    return response.item;
  }

  cancel(reason: CoordinationClientError): void {
    this.#abort.abort(reason);
  }
}
