/** `ropeteam chaos JOB --seed N`: the job once in peace, once while its processes are killed. The weights must not differ. */
import { formatError, parseDuration } from '#job';
import { exitCodeOf, fromEnvelope, RopeteamError, runId } from '#training';
import { trainInPeace, trainInTrouble } from '../chaos/experiment.js';
import { FAULT_KINDS, type FaultKind, planFaults } from '../chaos/fault-plan.js';
import { renderSurvival } from '../chaos/render-survival.js';
import { tellSurvival } from '../chaos/survival.js';
import type { Context } from '../context.js';
import { forShell } from '../shell-word.js';
import { EXIT_STOPPED } from './follow-run.js';
import { loadJob, newRunId } from './job-input.js';
import { type LocalOptions, trainLocally } from './local-run.js';

export interface ChaosOptions extends Pick<LocalOptions, 'workers' | 'threads' | 'kernel' | 'grain' | 'out' | 'json'> {
  readonly set: readonly string[];
  /** Of the faults, not of the job. */
  readonly seed: number;
  /** `2s`. */
  readonly every: string;
  /** Kinds with commas between. */
  readonly faults: string;
  readonly verbose: boolean;
}

const EXIT_DIFFERENT = 1;
const LEAST_EVERY_MS = 100;

/**
 * Returns 0 only when both hashes are equal.
 * @param train replaced in tests
 * @throws RopeteamError when it does not come to the faults, Interrupted
 */
export async function chaos(
  path: string,
  options: ChaosOptions,
  outerContext: Context,
  train: typeof trainLocally = trainLocally,
): Promise<number> {
  const { terminal, environment, interrupts } = outerContext;
  const everyMs = everyOf(options.every);
  const kinds = kindsOf(options.faults);
  const input = await loadJob(path, outerContext.directory, { set: options.set });
  // What is emptied and killed here must be ours: the user's own Redis is not even looked at.
  const context = { ...outerContext, environment: { ...environment, redisUrl: undefined } };
  const local = { ...options, quiet: false, everyStep: false };
  const experiment = { input, local, context, train };
  const name = newRunId(input).slice(0, LONGEST_NAME);

  if (!options.json) terminal.say(terminal.paintTalk('bold', 'The calm run'));
  const calm = await trainInPeace(runId(`${name}-calm`), experiment);
  if (interrupts.first() !== undefined) return interrupts.first()?.exitCode ?? EXIT_STOPPED;
  if (calm.last.event === 'run_failed') {
    const error = fromEnvelope(calm.last);
    terminal.say(formatError(error, { color: terminal.colourTalk }));
    return exitCodeOf(error.code);
  }

  const plan = planFaults({ seed: options.seed, everyMs, kinds, workers: options.workers });
  if (!options.json) terminal.say(`\n${terminal.paintTalk('bold', `The same with faults, seed ${options.seed}`)}`);
  const { events, inflicted } = await trainInTrouble(runId(`${name}-chaos`), plan, experiment);
  if (interrupts.first() !== undefined) return interrupts.first()?.exitCode ?? EXIT_STOPPED;

  const survival = tellSurvival(calm.events, events, inflicted);
  const replay = replayCommand(path, options, environment.commandName);
  if (options.json) {
    const time = new Date().toISOString();
    terminal.result(
      JSON.stringify({ event: 'chaos_finished', time, seed: options.seed, everyMs, ...survival, replay }),
    );
  } else {
    terminal.result(`\n${renderSurvival(survival, replay, terminal.paintResult)}`);
  }
  return survival.sameBits ? 0 : EXIT_DIFFERENT;
}

/** A run id has 63 characters at the most; `-chaos` is six of them. */
const LONGEST_NAME = 57;

function everyOf(text: string): number {
  const everyMs = parseDuration(text);
  if (everyMs !== undefined && everyMs >= LEAST_EVERY_MS) return everyMs;
  throw wrongUsage('--every', `--every ${text}: it must be a time of at least ${LEAST_EVERY_MS}ms, like 2s or 500ms`);
}

function kindsOf(text: string): readonly FaultKind[] {
  const words = [...new Set(text.split(','))];
  const kinds = FAULT_KINDS.filter((kind) => words.includes(kind));
  if (kinds.length === words.length) return kinds;
  const unknown = words.filter((word) => !FAULT_KINDS.some((kind) => kind === word));
  throw wrongUsage(
    '--faults',
    `--faults: there is no fault ${unknown.join(', ')}; there are ${FAULT_KINDS.join(', ')}`,
  );
}

function wrongUsage(argument: string, message: string): RopeteamError {
  return new RopeteamError('USAGE.ARGUMENT', { argument }, message, { hint: 'see `ropeteam chaos --help`' });
}

/** The same faults at the same times; where in the training they hit depends on how fast it is. */
function replayCommand(path: string, options: ChaosOptions, commandName: string): string {
  const words = [
    ...[path, '--seed', String(options.seed), '--workers', String(options.workers), '--every', options.every],
    ...(options.faults === FAULT_KINDS.join(',') ? [] : ['--faults', options.faults]),
    ...options.set.flatMap((change) => ['--set', change]),
    ...(options.kernel === 'wasm' ? [] : ['--kernel', options.kernel]),
    ...(options.grain === 'auto' ? [] : ['--grain', options.grain]),
    ...(options.threads === undefined ? [] : ['--threads', String(options.threads)]),
  ];
  return [commandName, 'chaos', ...words.map(forShell)].join(' ');
}
