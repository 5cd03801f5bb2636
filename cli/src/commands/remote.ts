/** `submit`, `runs`, `watch` and `stop`: working with a coordinator that is running already. */
import { resolve } from 'node:path';
import { hostOf, isLeftOpen, TLS_CLOSES } from '#job';
import { type RunClient, readTlsIdentity } from '#protocol';
import { type RunId, type RunSummary, runId } from '#training';
import type { Context } from '../context.js';
import { DEFAULT_PORT } from '../default-ports.js';
import { untilAborted } from '../interrupts.js';
import { formatCount, formatSignificant } from '../plain-numbers.js';
import { openReporter, type ReporterOptions } from '../progress/reporter.js';
import { INTERRUPT_KEY } from '../terminal.js';
import { alignColumns } from '../text-columns.js';
import { followRun, LONG_PATIENCE_MS, openClient, reportEnd, SHORT_PATIENCE_MS } from './follow-run.js';
import { type JobOverrides, loadJob, submissionOf } from './job-input.js';

export interface RemoteOptions {
  /** `host:port`; absent: ROPETEAM_COORDINATOR, or this machine's default. */
  readonly coordinator?: string;
  readonly json: boolean;
  /** Folder with the certificate to sign in with; absent: ROPETEAM_TLS, or none. */
  readonly tls?: string;
  readonly insecure?: boolean;
}

export interface WatchOptions extends RemoteOptions, ReporterOptions {
  readonly everyStep: boolean;
}

export interface SubmitOptions extends WatchOptions, JobOverrides {
  readonly runId?: RunId;
  readonly watch: boolean;
}

export interface StopOptions extends RemoteOptions {
  readonly reason: string;
}

/** Checks the job here, uploads its data, and prints the run's id, or follows it to its end with `--watch`. */
export async function submit(path: string, options: SubmitOptions, context: Context): Promise<number> {
  const input = await loadJob(path, context.directory, options);
  using client = connect(options, context);
  const submitted = client.submit(submissionOf(input, options.runId));
  const summary = await untilAborted(submitted, context.interrupts.orderly);
  if (options.watch) {
    using patient = connect(options, context, LONG_PATIENCE_MS);
    return await follow(patient, runId(summary.run), options, context);
  }
  if (options.json) context.terminal.result(JSON.stringify(summary));
  else {
    context.terminal.result(summary.run);
    context.terminal.say(
      `${stateInWords(summary)}; follow it with: ${context.environment.commandName} watch ${summary.run}`,
    );
  }
  return 0;
}

/** Lists the runs the coordinator knows, newest first. */
export async function runs(options: RemoteOptions, context: Context): Promise<number> {
  using client = connect(options, context);
  const all = newestFirst(await untilAborted(client.list(), context.interrupts.orderly));
  if (options.json) context.terminal.result(JSON.stringify(all));
  else if (all.length === 0)
    context.terminal.say(`no runs yet; send one with: ${context.environment.commandName} submit JOB.yaml`);
  else context.terminal.result(renderRuns(all));
  return 0;
}

/** Follows a run: the one named, or the one the coordinator is busy with, or its last. Ctrl-C leaves it running. */
export async function watch(run: RunId | undefined, options: WatchOptions, context: Context): Promise<number> {
  using client = connect(options, context);
  await untilAborted(client.list(), context.interrupts.orderly); // nobody there is said soon, one that left is waited for
  using patient = connect(options, context, LONG_PATIENCE_MS);
  return await follow(patient, run, options, context);
}

/** Asks a run to end at its next step, with its model saved. */
export async function stop(run: RunId, options: StopOptions, context: Context): Promise<number> {
  using client = connect(options, context);
  const summary = await untilAborted(client.stop(run, options.reason), context.interrupts.orderly);
  if (options.json) context.terminal.result(JSON.stringify(summary));
  else context.terminal.say(`${summary.run}: ${stateInWords(summary)}`);
  return 0;
}

export function connect(
  options: RemoteOptions,
  context: Context,
  patienceMs = SHORT_PATIENCE_MS,
): RunClient & Disposable {
  const { environment } = context;
  const address = addressOf(options, context);
  const folder = options.tls ?? environment.tls;
  const insecure = options.insecure === true || environment.insecure;
  const host = hostOf(address);
  // What is no host:port is refused where it is used.
  const door = { argument: '--coordinator', host, closed: folder !== undefined || host === '', hint: TLS_CLOSES };
  if (isLeftOpen({ ...door, insecure }))
    context.terminal.say(`! plaintext to ${address}: others can read and change it`);
  const tls = folder === undefined ? undefined : readTlsIdentity(resolve(context.directory, folder));
  return openClient(address, patienceMs, tls);
}

function addressOf({ coordinator }: Pick<RemoteOptions, 'coordinator'>, { environment }: Context): string {
  return coordinator ?? environment.coordinator ?? `127.0.0.1:${DEFAULT_PORT}`;
}

export async function follow(
  client: RunClient,
  run: RunId | undefined,
  options: WatchOptions,
  context: Context,
): Promise<number> {
  const { terminal, interrupts } = context;
  using reporter = openReporter(terminal, options);
  const leaving = new AbortController();
  using _keys =
    options.json || options.quiet
      ? undefined
      : terminal.listenForKeys((key) => {
          if (key === 'q' || key === 'Q') leaving.abort();
          if (key === INTERRUPT_KEY) interrupts.raise('SIGINT', 'orderly');
        });
  if (_keys !== undefined) reporter.note('q leaves, and the run goes on');
  const over = AbortSignal.any([interrupts.orderly, leaving.signal]);
  try {
    const last = await followRun(client, run, { reporter, everyStep: options.everyStep }, over);
    reporter[Symbol.dispose](); // the display ends above the summary
    const { commandName } = context.environment;
    const signIn = options.tls === undefined ? '' : ` --tls ${options.tls}`;
    const resume = `${commandName} resume ${last.run} --coordinator ${addressOf(options, context)}${signIn}`;
    return reportEnd(last, { json: options.json, next: `${commandName} runs`, resume }, context);
  } catch (error) {
    const left = leaving.signal.aborted && interrupts.first() === undefined;
    if (left || interrupts.first() !== undefined) reporter.note('the run goes on without you');
    if (left) return 0;
    throw error;
  }
}

function newestFirst(all: readonly RunSummary[]): readonly RunSummary[] {
  return [...all].sort((a, b) => (a.submittedAt < b.submittedAt ? 1 : a.submittedAt > b.submittedAt ? -1 : 0));
}

/** The table of `runs`: one line a run, no frame that a script would trip over. */
export function renderRuns(all: readonly RunSummary[]): string {
  const rows = all.map((run) => [
    run.run,
    stateInWords(run),
    `${formatCount(run.step)}/${formatCount(run.steps)}`,
    run.loss === undefined ? '-' : formatSignificant(run.loss),
    run.submittedAt.slice(0, 19).replace('T', ' '),
    run.weightsSha256?.slice(0, 12) ?? '-',
  ]);
  return alignColumns([['RUN', 'STATE', 'STEP', 'LOSS', 'SUBMITTED (UTC)', 'WEIGHTS'], ...rows]).join('\n');
}

function stateInWords({ state, waitingFor }: RunSummary): string {
  return waitingFor === undefined ? state : `${state}, waiting for ${waitingFor}`;
}
