import { randomBytes } from 'node:crypto';
import { parseJob } from '#job';
import { createRunFolder, type EventLog, openEventLog, type PreparedDataset, type RunFolder } from '#storage';
import {
  type JobSpec,
  RopeteamError,
  type RunEvent,
  type RunId,
  type RunSummary,
  runId,
  type SplitName,
  type Submission,
  type UploadedFile,
} from '#training';
import { RunEvents } from './run-events.js';

/** One submitted run and what became of it. */
export interface RunEntry {
  readonly run: RunId;
  readonly job: JobSpec;
  readonly files: readonly UploadedFile[];
  /** Weights to start from, where those of the seed are not wanted. */
  readonly initFrom?: Submission['initFrom'];
  readonly folder: RunFolder;
  readonly eventLog: EventLog;
  readonly events: RunEvents;
  /** Aborted with a reason when somebody asks the run to stop. */
  readonly stopping: AbortController;
  summary: RunSummary;
  /** Its prepared rows, while it trains. */
  dataset: PreparedDataset | undefined;
}

/** All runs of this coordinator, in the order they were submitted; one trains at a time. */
export class RunBook {
  readonly #runsDirectory: string;
  readonly #entries = new Map<RunId, RunEntry>();
  readonly #waiting: RunEntry[] = [];
  readonly #submitted = new EventTarget();

  constructor(runsDirectory: string) {
    this.#runsDirectory = runsDirectory;
  }

  get entries(): readonly RunEntry[] {
    return [...this.#entries.values()];
  }

  async submit({ jobText, jobFile, runId: wanted, files, initFrom }: Submission): Promise<RunSummary> {
    const job = parseJob(jobText, jobFile);
    const run = runId(wanted ?? `${runIdPart(job.name)}-${randomBytes(2).toString('hex')}`);
    const folder = await createRunFolder(this.#runsDirectory, run);
    const eventLog = await openEventLog(folder.eventsPath);
    const summary: RunSummary = {
      run,
      job: job.name,
      state: 'queued',
      step: 0,
      steps: 0,
      submittedAt: new Date().toISOString(),
      runPath: folder.path,
    };
    const events = new RunEvents(run, eventLog);
    const entry: RunEntry = {
      run,
      job,
      files,
      ...(initFrom === undefined ? {} : { initFrom }),
      folder,
      eventLog,
      events,
      stopping: new AbortController(),
      summary,
      dataset: undefined,
    };
    this.#entries.set(run, entry);
    this.#waiting.push(entry);
    events.append({ event: 'run_queued', job: job.name });
    this.#submitted.dispatchEvent(new Event('submitted'));
    return summary;
  }

  /** The next run to train, when there is one; undefined when the signal ends the wait. */
  async next(signal: AbortSignal): Promise<RunEntry | undefined> {
    while (!signal.aborted) {
      const entry = this.#waiting.shift();
      if (entry !== undefined) return entry;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#submitted.removeEventListener('submitted', done);
          signal.removeEventListener('abort', done);
          resolve();
        };
        this.#submitted.addEventListener('submitted', done);
        signal.addEventListener('abort', done);
      });
    }
    return undefined;
  }

  stop(run: RunId, reason: string): RunSummary {
    const entry = this.#find(run);
    if (entry.summary.state === 'finished' || entry.summary.state === 'failed') return entry.summary;
    entry.events.append({ event: 'run_stopping', reason });
    if (entry.summary.state !== 'queued') entry.summary = { ...entry.summary, state: 'stopping' };
    entry.stopping.abort(reason);
    return entry.summary;
  }

  /** One shard of a run in training, as it lies on disk. */
  async readShard(run: RunId, split: SplitName, index: number): Promise<Uint8Array> {
    const { dataset } = this.#find(run);
    if (dataset !== undefined) return dataset.readShard(split, index);
    throw new RopeteamError('RUN.UNKNOWN', { run }, `run ${run} is not in training: its shards are gone`);
  }

  /** Events of a run; without a name, of the run in training or else the latest. */
  watch(run: RunId | undefined, from: number, signal: AbortSignal): AsyncIterable<RunEvent> {
    const entry = run === undefined ? this.#latest() : this.#find(run);
    return entry.events.watch(from, signal);
  }

  #latest(): RunEntry {
    const active = this.entries.find(({ summary }) => summary.state !== 'finished' && summary.state !== 'failed');
    const entry = active ?? this.entries.at(-1);
    if (entry !== undefined) return entry;
    throw new RopeteamError('RUN.UNKNOWN', { run: '' }, 'no run was submitted to this coordinator yet', {
      hint: 'submit one: ropeteam submit JOB.yaml',
    });
  }

  #find(run: RunId): RunEntry {
    const entry = this.#entries.get(run);
    if (entry !== undefined) return entry;
    const known = this.entries.map((candidate) => candidate.run).join(', ');
    throw new RopeteamError('RUN.UNKNOWN', { run }, `this coordinator has no run ${run}`, {
      hint: known === '' ? 'submit one: ropeteam submit JOB.yaml' : `its runs are: ${known}`,
    });
  }
}

/** A job's name as the beginning of a run id. */
function runIdPart(name: string): string {
  const part = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 50);
  return part === '' ? 'run' : part;
}
