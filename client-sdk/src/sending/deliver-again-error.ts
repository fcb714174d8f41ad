/**
 * Says that a batch was interrupted by what concerns another one: it is to be delivered again, at once, and what was tried
 * does not count as an attempt. Its signals may be stored; their request ids keep them from being stored twice.
 */
export class DeliverAgainError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "DeliverAgainError";
  }
}
