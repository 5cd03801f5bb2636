/** `ropeteam train JOB`: one run on this machine, from a job file to a trained model, leaving nothing else behind. */
import type { RunId } from '#training';
import type { Context } from '../context.js';
import { reportEnd } from './follow-run.js';
import { type JobOverrides, loadJob, newRunId } from './job-input.js';
import { type LocalOptions, resumeCommand, trainLocally } from './local-run.js';

export interface TrainOptions extends JobOverrides, LocalOptions {
  readonly runId?: RunId;
}

/** Returns the exit code. @throws RopeteamError, or Interrupted when the user did not wait for the run's end */
export async function train(path: string, options: TrainOptions, context: Context): Promise<number> {
  const { interrupts, environment } = context;
  const input = await loadJob(path, context.directory, options);
  const run = options.runId ?? newRunId(input);
  const last = await trainLocally({ run, input, local: options, context });
  const next = nextCommand(path, options, environment.commandName);
  const resume = resumeCommand(last, run, options, context);
  const exitCode = reportEnd(last, { json: options.json, next, resume }, context);
  return interrupts.first()?.exitCode ?? exitCode;
}

/** What to try now: the promise itself. */
function nextCommand(path: string, options: TrainOptions, commandName: string): string {
  const changes = [
    ...(options.seed === undefined ? [] : ['--seed', String(options.seed)]),
    ...options.set.flatMap((change) => ['--set', change]),
    // Another kernel has other bits.
    ...(options.kernel === 'wasm' ? [] : ['--kernel', options.kernel]),
    ...(options.saveEvery === undefined ? [] : ['--save-every', String(options.saveEvery)]),
    ...(options.initFrom === undefined ? [] : ['--init-from', options.initFrom]),
  ];
  const again = [commandName, 'train', ...[path, ...changes].map(forShell)].join(' ');
  return `${again} --workers ${options.workers * 2}   gives the same sha256`;
}

/** A word as a shell takes it for one word. */
function forShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
