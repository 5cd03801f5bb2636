/** `ropeteam resume`: a run that was stopped, or lost what it needed, goes on from its newest checkpoint. */
import { basename, dirname, relative, resolve as resolvePath } from 'node:path';
import { openRunFolder } from '#storage';
import { RopeteamError, type RunId, runId } from '#training';
import type { Context } from '../context.js';
import { untilAborted } from '../interrupts.js';
import { reportEnd } from './follow-run.js';
import { type LocalOptions, resumeCommand, trainLocally } from './local-run.js';
import { connect, follow } from './remote.js';

export interface ResumeOptions extends Omit<LocalOptions, 'out'> {
  /** `host:port`; absent: a cluster is started for the run. */
  readonly coordinator?: string;
  /** To sign in with there. */
  readonly tls?: string;
  readonly insecure?: boolean;
}

/**
 * With `--coordinator`, asks that one and follows the run; else trains on here. Returns the exit code.
 * @param run a run's folder, or with `--coordinator` its id; absent: the newest one that can be resumed there
 */
export async function resume(run: string | undefined, options: ResumeOptions, context: Context): Promise<number> {
  if (options.coordinator !== undefined) return resumeThere(run, options, context);
  if (run === undefined) {
    throw new RopeteamError('USAGE.ARGUMENT', { argument: 'run' }, 'which run? `resume` needs the folder of one', {
      hint: 'name it: ropeteam resume runs/ID; or a coordinator that has it: --coordinator host:port',
    });
  }
  const path = resolvePath(context.directory, run);
  const id = idFrom(basename(path));
  await openRunFolder(dirname(path), id);
  const local: LocalOptions = { ...options, out: relative(context.directory, dirname(path)) || '.' };
  const last = await trainLocally({ run: id, local, context });
  const again = resumeCommand(last, id, local, context);
  const next = `${context.environment.commandName} runs`;
  const exitCode = reportEnd(last, { json: options.json, next, resume: again }, context);
  return context.interrupts.first()?.exitCode ?? exitCode;
}

async function resumeThere(run: string | undefined, options: ResumeOptions, context: Context): Promise<number> {
  using client = connect(options, context);
  const { orderly } = context.interrupts;
  const id = run === undefined ? await newestOver() : idFrom(basename(run));
  await untilAborted(client.resume(id), orderly);
  return await follow(client, id, options, context);

  async function newestOver(): Promise<RunId> {
    const runs = await untilAborted(client.list(), orderly);
    const last = runs.findLast(({ state }) => state === 'finished' || state === 'failed');
    if (last !== undefined) return runId(last.run);
    throw new RopeteamError('RUN.UNKNOWN', { run: '' }, 'no run of this coordinator has ended yet', {
      hint: 'follow the one at work: ropeteam watch',
    });
  }
}

function idFrom(text: string): RunId {
  try {
    return runId(text);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new RopeteamError('USAGE.ARGUMENT', { argument: 'run' }, message, { cause });
  }
}
