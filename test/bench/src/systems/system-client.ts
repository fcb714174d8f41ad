/** How the bench sees a system: the one interface that every adapter implements, with the system's own client library. */
export interface SystemClient extends AsyncDisposable {
  /** Opens a sender, on a connection of its own. */
  openSender(channel: string, senderAgentId: string): Promise<Sender>;
  /** Opens a reader, on a connection of its own. Resolves when it stands: what is sent from then on reaches it. */
  openReader(options: ReaderOptions): Promise<AsyncDisposable>;
  /** Reads the last messages of a channel back, oldest first or newest first as the system does, each once. */
  readLast?(channel: string, count: number, onMessage: MessageHandler): Promise<void>;
}

/** Sends messages of one agent into one channel. */
export interface Sender extends AsyncDisposable {
  /** Encodes and sends one message; resolves when the system has acknowledged it. */
  send(number: number): Promise<unknown>;
}

/** Is called with each message, decoded to an object; what it takes from the object are these two. */
export type MessageHandler = (senderAgentId: string, number: number) => void;

/** What to read. */
export interface ReaderOptions {
  readonly channel: string;
  readonly readerAgentId: string;
  /** "earliest" reads the log from its start, "latest" what is sent from now on. */
  readonly from: "earliest" | "latest";
  readonly onMessage: MessageHandler;
  /** Called when reading fails. */
  readonly onError: (error: unknown) => void;
}
