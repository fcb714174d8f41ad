import { InvalidRequestError } from "./coordination-client-error.js";

/** Makes the error of an option that is wrong, found before anything is sent. */
export function invalidOption(message: string): InvalidRequestError {
  return new InvalidRequestError({ message, reason: "INVALID_REQUEST", code: "INVALID_ARGUMENT" });
}
