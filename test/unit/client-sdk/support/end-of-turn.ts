/** Waits until what was sent before has left: a session's sends of one turn of the event loop leave together. */
export function endOfTurn(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}
