import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";
import { GetSignalHistoryResponseSchema } from "@coordination-signals/proto/coordination/v1/signal_service";
import { SignalBatchDecoder } from "./signal-batch-decoder.js";
import { pageOfMessage, type SignalPage } from "./signal-page.js";

/** Makes a page of an encoded `GetSignalHistoryResponse`. Throws when the library cannot decode it either. */
export function pageOfBytes(bytes: Uint8Array): SignalPage {
  return encodedPageOf(bytes) ?? pageOfMessage(fromBinary(GetSignalHistoryResponseSchema, bytes));
}

/** As `pageOfBytes`, but answers `undefined` for a page that the library has to decode. */
export function encodedPageOf(bytes: Uint8Array): SignalPage | undefined {
  const decoder = new SignalBatchDecoder();
  try {
    const outline = decoder.beginPage(bytes);
    return outline && new EncodedPage(decoder, outline);
  } catch {
    // The library tells what is wrong with it, or that it is only unusual.
    return undefined;
  }
}

class EncodedPage implements SignalPage {
  readonly size: number;
  readonly nextPageToken: string;
  readonly #decoder: SignalBatchDecoder;

  constructor(decoder: SignalBatchDecoder, { size, nextPageToken }: Omit<SignalPage, "take">) {
    this.#decoder = decoder;
    this.size = size;
    this.nextPageToken = nextPageToken;
  }

  take(): CoordinationSignal | undefined {
    try {
      return this.#decoder.nextOfPage();
    } catch (error) {
      throw ConnectError.from(error, Code.InvalidArgument);
    }
  }
}
