/** How long a call waits that asks for so long: less than it may take, for a call that its deadline ends does not say what is missing. */
export function callWaitMs(wantedMs: number, callTimeMs = Number.POSITIVE_INFINITY): number {
  const answerMs = Math.min(mostAnswerMs, callTimeMs / answerShare);
  return Math.min(wantedMs, Math.max(1, Math.floor(callTimeMs - answerMs)));
}

// The answer needs time as well, to get to a client that gives up at the deadline by itself: a tenth of the call's time, up to 50 ms.
const answerShare = 10;
const mostAnswerMs = 50;
