/** Lets everybody else run, so that a fault can fall into it. What is waited for comes with a message; this only looks again. */
export function nextMoment(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 1);
  });
}
