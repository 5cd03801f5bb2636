import { randomBytes } from 'node:crypto';
import { parseJob } from '#job';
import { createRunFolder, eventsOf, keepSubmission, type RunFolder } from '#storage';
import {
  RopeteamError,
  type RunEvent,
  type RunId,
  type RunSummary,
  runId,
  runIdPart,
  type SplitName,
  type Submission,
} from '#training';
import type { LiveRun } from '../page/messages.js';
import type { Leads } from './leads.js';
import { openEntry, type RunEntry } from './run-entry.js';
import { findRuns, type PastRun } from './run-recovery.js';

export type { RunEntry } from './run-entry.js';

/** A run as somebody sees it who does not take part in it. */
export interface RunInSight {
  readonly folder: RunFolder;
  readonly summary: () => RunSummary;
  /** Undefined while it is not in training. */
  readonly live: () => LiveRun | undefined;
}

/** All runs of this coordinator, in the order they were submitted; one trains at a time. */
export class RunBook {
  readonly #runsDirectory: string;
  readonly #dataRoot: string | undefined;
  readonly #leads: Leads;
  readonly #entries = new Map<RunId, RunEntry>();
  /** Runs that were over when this coordinator started. */
  readonly #past = new Map<RunId, PastRun>();
  /** Names whose submission is being written down. */
  readonly #taken = new Set<RunId>();
  readonly #waiting: RunEntry[] = [];
  readonly #submitted = new EventTarget();

  /** @param dataRoot jobs may name files below it without uploading them */
  constructor(runsDirectory: string, leads: Leads, dataRoot?: string) {
    this.#dataRoot = dataRoot;
    this.#runsDirectory = runsDirectory;
    this.#leads = leads;
  }

  get entries(): readonly RunEntry[] {
    return [...this.#entries.values()];
  }

  get summaries(): readonly RunSummary[] {
    return [...this.#past.values(), ...this.#entries.values()].map(({ summary }) => summary);
  }

  /**
   * Finds the runs in the folder; those that did not end are put into the queue again, in the order of their submission.
   * @param only this run alone: all others are somebody else's
   * @returns runs that could not be taken up, and why
   */
  async recover(only: RunId | undefined): Promise<readonly { readonly run: RunId; readonly error: RopeteamError }[]> {
    const { unended, past, refused } = await findRuns(this.#runsDirectory, this.#leads, only);
    for (const run of past) this.#past.set(run.folder.run, run);
    for (const entry of unended) this.#queue(entry);
    return refused;
  }

  async submit({ jobText, jobFile, runId: wanted, files, initFrom }: Submission): Promise<RunSummary> {
    const job = parseJob(jobText, jobFile);
    const run = runId(wanted ?? `${runIdPart(job.name)}-${randomBytes(2).toString('hex')}`);
    if (this.#taken.has(run)) throw exists(this.#runsDirectory, run);
    this.#taken.add(run);
    try {
      const folder = await createRunFolder(this.#runsDirectory, run, { orphan: 'reuse' });
      await this.#leads.take(folder.path);
      const submittedAt = new Date().toISOString();
      const from = initFrom === undefined ? {} : { initFrom };
      const root = this.#dataRoot === undefined ? {} : { dataRoot: this.#dataRoot };
      const kept = await keepSubmission(folder, { jobText, jobFile, submittedAt, files, ...root, ...from });
      const entry = await openEntry(folder, kept);
      entry.events.append({ event: 'run_queued', job: job.name });
      this.#queue(entry);
      return entry.summary;
    } finally {
      this.#taken.delete(run);
    }
  }

  /** Puts a run that was stopped, or failed for a reason outside of it, into the queue again. */
  async resume(run: RunId): Promise<RunSummary> {
    const known = this.#find(run);
    const { state } = known.summary;
    if (state !== 'finished' && state !== 'failed') return known.summary;
    await this.#entries.get(run)?.eventLog[Symbol.asyncDispose]();
    const { unended, refused } = await findRuns(this.#runsDirectory, this.#leads, run, { ended: 'take-up' });
    const [entry] = unended;
    if (entry === undefined) throw refused[0]?.error ?? unknownRun(run, []);
    this.#past.delete(run);
    this.#queue(entry);
    return entry.summary;
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
    const { summary } = this.#find(run);
    const entry = this.#entries.get(run);
    if (entry === undefined || summary.state === 'finished' || summary.state === 'failed') return summary;
    entry.events.append({ event: 'run_stopping', reason });
    if (entry.summary.state !== 'queued') entry.summary = { ...entry.summary, state: 'stopping' };
    entry.stopping.abort(reason);
    return entry.summary;
  }

  /** One shard of a run in training, as it lies on disk. */
  async readShard(run: RunId, split: SplitName, index: number): Promise<Uint8Array> {
    const dataset = this.#entries.get(run)?.dataset;
    if (dataset !== undefined) return dataset.readShard(split, index);
    throw new RopeteamError('RUN.UNKNOWN', { run }, `run ${run} is not in training: its shards are not to be had`);
  }

  /** Events of a run; without a name, of the run in training or else the latest. @param restMs see `RunEvents.watch` */
  watch(run: RunId | undefined, from: number, signal: AbortSignal, restMs?: number): AsyncIterable<RunEvent> {
    const found = run === undefined ? this.#latest() : this.#find(run);
    return (
      this.#entries.get(runId(found.summary.run))?.events.watch(from, signal, restMs) ??
      eventsOf(found.folder.eventsPath, from)
    );
  }

  /** Folder, summary and what a run does at this moment. @throws RopeteamError RUN.UNKNOWN */
  look(run: RunId): RunInSight {
    const { folder } = this.#find(run);
    return {
      folder,
      summary: () => this.#find(run).summary,
      live: () => this.#entries.get(run)?.live?.(),
    };
  }

  #queue(entry: RunEntry): void {
    this.#entries.delete(entry.run); // one that is resumed goes behind those that came meanwhile
    this.#entries.set(entry.run, entry);
    this.#waiting.push(entry);
    this.#submitted.dispatchEvent(new Event('submitted'));
  }

  #latest(): RunEntry | PastRun {
    const active = this.entries.find(({ summary }) => summary.state !== 'finished' && summary.state !== 'failed');
    const found = active ?? this.entries.at(-1) ?? [...this.#past.values()].at(-1);
    if (found !== undefined) return found;
    throw new RopeteamError('RUN.UNKNOWN', { run: '' }, 'no run was submitted to this coordinator yet', {
      hint: 'submit one: ropeteam submit JOB.yaml',
    });
  }

  #find(run: RunId): RunEntry | PastRun {
    const found = this.#entries.get(run) ?? this.#past.get(run);
    if (found !== undefined) return found;
    throw unknownRun(run, this.summaries);
  }
}

function unknownRun(run: RunId, summaries: readonly RunSummary[]): RopeteamError {
  const known = summaries.map((candidate) => candidate.run).join(', ');
  return new RopeteamError('RUN.UNKNOWN', { run }, `this coordinator has no run ${run}`, {
    hint: known === '' ? 'submit one: ropeteam submit JOB.yaml' : `its runs are: ${known}`,
  });
}

function exists(root: string, run: RunId): RopeteamError {
  return new RopeteamError('RUN.EXISTS', { run }, `there is already a run ${run} in ${root}`, {
    hint: 'choose another --run-id',
  });
}
