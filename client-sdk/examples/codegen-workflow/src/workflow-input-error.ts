/** What the user gave cannot be used: the contract, the payloads or a flag. The message says what, where and what would be right. */
export class WorkflowInputError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "WorkflowInputError";
  }
}
