import type { CoordinationSignal } from "@coordination-signals/proto/coordination/v1/signal";

const maxCharacters = 100;

/** Says in a line what a signal says. */
export function signalSummary({ event }: CoordinationSignal): string {
  switch (event.case) {
    case "agentInitialized":
      return event.value.ready ? "initialized, ready" : "initialized";
    case "agentCompleted":
      return cut(
        event.value.error === undefined ? `completed ${event.value.resultSummary}` : `failed ${event.value.error}`,
      );
    case "dependencyResolved":
      return cut(`resolved ${event.value.dependencyType} "${event.value.dependencyId}"`);
    case "interAgentMessage":
      return cut(`${event.value.messageType} ${event.value.message}`);
    case undefined:
      return "";
  }
}

/** By characters, so that none is cut in two; control characters would break lines. */
function cut(text: string): string {
  const line = Array.from(text.slice(0, 2 * maxCharacters), (character) => (character < " " ? " " : character));
  return (line.length > maxCharacters ? `${line.slice(0, maxCharacters - 3).join("")}...` : line.join("")).trim();
}
