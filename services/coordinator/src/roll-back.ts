import { addRollback, dropCheckpointsBeyond } from '#storage';
import { describeNonFinite } from '#training';
import type { PreparedRun } from './prepare-run.js';
import type { RunContext } from './run-context.js';
import type { RunEntry } from './run-entry.js';
import type { RunOutcome } from './run-outcome.js';

/**
 * Writes down that the run goes back, before anything of what is undone is touched: after a crash at any place here the run is
 * taken up with the rollback, or comes to the same step again and goes back once more by itself.
 */
export async function rollBack(
  { metrics, log }: RunContext,
  entry: RunEntry,
  { shape }: PreparedRun,
  { step, to, trouble }: RunOutcome & { kind: 'rolled-back' },
): Promise<void> {
  const { folder, events, eventLog } = entry;
  const rollbacks = await addRollback(folder, { step, to, fence: shape.fence });
  await dropCheckpointsBeyond(folder, to);
  const reason = describeNonFinite(trouble);
  const toEpoch = Math.floor(to / shape.stepsPerEpoch);
  metrics.rolledBack();
  log.warn('run_rolled_back', { step, toStep: to, reason });
  events.append({ event: 'run_rolled_back', step, toStep: to, toEpoch, times: rollbacks.length, reason });
  await eventLog.flush();
}
