/** Keeps a stream of events readable: steps may come a thousand a second. */
import type { RunEvent } from './events.js';

const MOST_A_SECOND = 10;

/**
 * Starts a limit and returns its gate: `step_committed` passes at most ten times in any second of the run's own time, every
 * other event always. The run's time, not the reader's: a stream read late is thinned like one read live.
 */
export function startEventLimit(): (event: RunEvent) => boolean {
  let lastPassedMs = Number.NEGATIVE_INFINITY;
  return (event) => {
    if (event.event !== 'step_committed') return true;
    const timeMs = Date.parse(event.time);
    if (timeMs - lastPassedMs < 1000 / MOST_A_SECOND) return false;
    lastPassedMs = timeMs;
    return true;
  };
}
