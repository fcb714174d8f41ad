/** A promise that a test settles by hand. */
export interface Latch<T> {
  readonly promise: Promise<T>;
  readonly open: (value: T) => void;
}

export function createLatch<T = void>(): Latch<T> {
  let open: (value: T) => void = () => undefined;
  const promise = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}
