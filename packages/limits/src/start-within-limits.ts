import type { ErrorEnvelope } from '#training';
import { lackingLimit, limitReached } from './limit-errors.js';
import { readProcessLimits } from './process-limits.js';

/** The environment lacks something: see `exitCodeOf`, which is not loaded here. */
const EXIT_LACKING = 3;

/**
 * Loads and runs a program where the system's limits allow it. Otherwise they are the answer: on stderr, to the process
 * that started this one, and in the exit code. Loads nothing by itself: too few open files would end that.
 */
export async function startWithinLimits(program: () => Promise<unknown>): Promise<void> {
  const lacking = lackingLimit(readProcessLimits());
  if (lacking !== undefined) return end(lacking);
  try {
    await program();
  } catch (error) {
    const reached = limitReached(error);
    if (reached === undefined) throw error;
    end(reached);
  }
}

function end(error: ErrorEnvelope): void {
  process.stderr.write(`error ${error.code}: ${error.message}\n  fix: ${error.hint}\n`);
  const exit = (): never => process.exit(EXIT_LACKING);
  if (process.send === undefined) exit();
  else process.send({ event: 'failed', error }, exit);
}
