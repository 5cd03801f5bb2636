/** Watching a run to its end, and what the end means for the user and for the exit code. */
import { isAbsolute, relative } from 'node:path';
import { formatError } from '#job';
import { connectClient, type RunClient, type TlsIdentity } from '#protocol';
import { exitCodeOf, fromEnvelope, isOutsideFailure, RopeteamError, type RunEvent, type RunId } from '#training';
import type { Context } from '../context.js';
import type { Reporter } from '../progress/reporter.js';
import { renderSummary } from '../progress/summary.js';

export type FinalEvent = Extract<RunEvent, { event: 'run_finished' | 'run_failed' }>;

/** A person waits for the answer. */
export const SHORT_PATIENCE_MS = 2_000;
/** A coordinator that comes back within this time loses no watcher. */
export const LONG_PATIENCE_MS = 30_000;

/** What is made of the events. */
export interface Shown {
  readonly reporter: Reporter;
  /** Every `step_committed`, not ten a second. */
  readonly everyStep: boolean;
}

/** Somebody stopped the run before it was done: as after an interrupt, never 0. */
export const EXIT_STOPPED = 130;

/**
 * A client that is closed at the end of its block. No connection is made before its first call.
 * @param patienceMs for the connection: short for a question, long where a coordinator may be restarting
 */
export function openClient(address: string, patienceMs: number, tls?: TlsIdentity): RunClient & Disposable {
  const client = connectClient(address, { connectDeadlineMs: patienceMs, tls });
  return { ...client, [Symbol.dispose]: () => client.close() };
}

/**
 * Shows every event of a run, from its first to its last, and returns the last.
 * @param run absent: the run the coordinator is busy with, or the last one it was
 * @throws RopeteamError COORDINATOR.UNREACHABLE when the stream ends before the run does
 */
export async function followRun(
  client: RunClient,
  run: RunId | undefined,
  { reporter, everyStep }: Shown,
  signal: AbortSignal,
): Promise<FinalEvent> {
  const steps = everyStep ? 'every' : 'sampled';
  let last: FinalEvent | undefined;
  try {
    // A run that ended and was resumed has an end in the middle: the last one counts.
    for await (const event of client.watch(run, 0, signal, steps)) {
      reporter.event(event);
      last = event.event === 'run_finished' || event.event === 'run_failed' ? event : undefined;
    }
  } catch (error) {
    // The coordinator may leave as soon as it has told the end.
    if (last === undefined) throw error;
  }
  if (last !== undefined) return last;
  signal.throwIfAborted();
  throw new RopeteamError('COORDINATOR.UNREACHABLE', { address: '' }, 'the event stream ended before the run did', {
    hint: 'look at the coordinator; `ropeteam watch` takes the run up again',
  });
}

export interface EndOptions {
  readonly json: boolean;
  /** The command to try now. */
  readonly next: string;
  /** The command that takes the run up again, where it was stopped or failed for a reason outside of it. */
  readonly resume: string;
}

/** Prints the end of a run (JSON has it already as an event) and returns the exit code it deserves. */
export function reportEnd(last: FinalEvent, options: EndOptions, context: Context): number {
  const { terminal } = context;
  if (last.event === 'run_failed') {
    const error = fromEnvelope(last);
    terminal.say(formatError(error, { color: terminal.colourTalk }));
    if (isOutsideFailure(error.code)) terminal.say(`to go on from its last checkpoint: ${options.resume}`);
    return exitCodeOf(error.code);
  }
  if (!options.json) {
    const short = (path: string): string => shortPath(path, context.directory);
    const shown = { ...last, modelPath: short(last.modelPath), runPath: short(last.runPath) };
    terminal.result(
      renderSummary(shown, last.stoppedBy === 'user' ? options.resume : options.next, terminal.paintResult),
    );
  }
  return last.stoppedBy === 'user' ? EXIT_STOPPED : 0;
}

/** A path below `directory` as a relative one: what the user would type. */
export function shortPath(path: string, directory: string): string {
  const short = relative(directory, path);
  return isAbsolute(path) && short !== '' && !short.startsWith('..') ? short : path;
}
