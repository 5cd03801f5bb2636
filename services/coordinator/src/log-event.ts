import type { Logger } from '#telemetry';
import type { RunEvent } from '#training';

/** Events that come with every step: for those who look for trouble in a log, not for those who keep one. */
const FREQUENT: ReadonlySet<RunEvent['event']> = new Set(['step_committed', 'workers_measured']);
const TROUBLE: ReadonlySet<RunEvent['event']> = new Set([
  'worker_lost',
  'coordinator_stalled',
  'checkpoint_failed',
  'copy_failed',
  'run_resumed',
]);

/** What happens to a run, in the log of its coordinator: under the names that its events have. */
export function logEvent(log: Logger, { event, time: _time, run: _run, ...fields }: RunEvent): void {
  if (event === 'run_failed') return; // logged where it is known, with its cause
  if (FREQUENT.has(event)) log.debug(event, fields);
  else if (TROUBLE.has(event)) log.warn(event, fields);
  else log.info(event, fields);
}
