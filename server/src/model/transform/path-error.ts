/** Why a path, or what is asked to happen there, cannot be. The caller says whose path it is. */
export class PathError extends Error {
  override readonly name = "PathError";
}
