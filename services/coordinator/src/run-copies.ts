/** Keeps a copy of every run in object storage, behind training and never in its way, and brings runs back from there. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Bucket, openBucket, openRunCopy, type RunCopy, type Term, takeTerm } from '#objects';
import { durableFiles, isDurableName, type RunFolder } from '#storage';
import type { CoordinatorMetrics, Logger } from '#telemetry';
import { type ErrorCode, RopeteamError, type RunEvent, type RunId, runId } from '#training';
import type { CoordinatorConfiguration } from './configuration.js';
import { fetchRunsBack } from './fetch-runs.js';
import type { RunEvents } from './run-events.js';

/** A run whose checkpoints come often is left alone nine times as long as its copying took, within these bounds. */
const REST_SHARE = 9;
const LEAST_REST_MS = 1_000;
const LONGEST_REST_MS = 60_000;
/** Of one request: what fails is tried again by and by in any case. */
const TRIES = 3;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** For what is not there yet when the coordinator is asked to end. */
const GRACE_MS = 30_000;

/** After which something is worth copying; the end of a run comes as `changed`, once it is on the disk. */
const WORTH: ReadonlySet<RunEvent['event']> = new Set([
  'run_started',
  'run_resumed',
  'checkpoint_saved',
  'run_rolled_back',
]);

interface Followed {
  readonly folder: RunFolder;
  events: RunEvents | undefined;
  copy: RunCopy | undefined;
  /** Of the oldest change that is not in the copy. */
  changedAt: number | undefined;
  notBefore: number;
  /** Since its copy could not be brought up to date. */
  failingSince: number | undefined;
  /** The events that heard of it. */
  told: RunEvents | undefined;
}

type Metrics = Pick<CoordinatorMetrics, 'copied' | 'copyFailed' | 'countCopyDelay'>;

export function openRunCopies(
  to: CoordinatorConfiguration['copyRunsTo'],
  log: Logger,
  metrics: Metrics,
): RunCopies | undefined {
  return to === undefined ? undefined : new RunCopies(to, log, metrics);
}

export class RunCopies {
  readonly #bucket: Bucket;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #runs = new Map<RunId, Followed>();
  readonly #ending = new AbortController();
  #term: Term | undefined;
  #kick = new AbortController();
  #working: Promise<void> | undefined;
  #closing = false;
  /** Another coordinator has the folder, by now for good. */
  #fenced = false;
  #failures = 0;
  #notBefore = 0;

  constructor(to: NonNullable<CoordinatorConfiguration['copyRunsTo']>, log: Logger, metrics: Metrics) {
    this.#bucket = openBucket(to.url, '--copy-runs-to', { ...to.store, signal: this.#ending.signal, tries: TRIES });
    this.#log = log;
    this.#metrics = metrics;
    metrics.countCopyDelay(() => this.#delaySeconds());
  }

  /**
   * Where the runs folder is empty, brings back the runs that storage has; the folder there is this coordinator's first.
   * @throws RopeteamError STORAGE.OBJECT: to go on without the runs that are there would be to forget them
   */
  async fetchBack(runsDirectory: string): Promise<void> {
    await fetchRunsBack(this.#bucket, runsDirectory, this.#log, async () => {
      this.#term ??= await takeTerm(this.#bucket);
    });
  }

  /** From now on this run is copied; the events of one in training hear of trouble. */
  follow(folder: RunFolder, events?: RunEvents): void {
    const known = this.#runs.get(folder.run);
    const fresh = { copy: undefined, changedAt: undefined, notBefore: 0, failingSince: undefined, told: undefined };
    if (known === undefined) this.#runs.set(folder.run, { folder, events, ...fresh });
    else known.events = events ?? known.events;
    this.changed(folder.run);
  }

  /** Something of this run is on the disk that shall be in its copy at once. */
  changed(run: RunId): void {
    const followed = this.#runs.get(run);
    if (followed === undefined) return;
    followed.notBefore = 0;
    this.#mark(followed);
  }

  heard(event: RunEvent): void {
    const followed = WORTH.has(event.event) ? this.#runs.get(runId(event.run)) : undefined;
    if (followed !== undefined) this.#mark(followed);
  }

  /** Copies what can be copied in half a minute. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#kick.abort();
    const grace = setTimeout(() => this.#ending.abort(new Error('the coordinator ends')), GRACE_MS);
    await this.#working;
    clearTimeout(grace);
    const behind = [...this.#runs.values()].filter(({ changedAt }) => changedAt !== undefined);
    if (behind.length > 0) this.#log.warn('copies_behind', { runs: behind.map(({ folder }) => folder.run).join(', ') });
  }

  #mark(followed: Followed): void {
    if (this.#fenced || this.#ending.signal.aborted) return;
    followed.changedAt ??= performance.now();
    this.#kick.abort();
    this.#working ??= this.#work();
  }

  /** Ends when there is nothing to copy. */
  async #work(): Promise<void> {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const waitMs = Math.max(next.notBefore, this.#notBefore) - performance.now();
      if (waitMs <= 0 || this.#closing) await this.#update(next);
      else {
        this.#kick = new AbortController();
        await delay(waitMs, undefined, { signal: this.#kick.signal }).catch(() => undefined); // woken: there is more to do
      }
    }
    this.#working = undefined; // in the same breath as the look for more: nothing is left to one that has ended
  }

  /** The one that may be copied first. */
  #next(): Followed | undefined {
    const waiting = [...this.#runs.values()].filter(({ changedAt }) => changedAt !== undefined);
    if (this.#fenced || this.#ending.signal.aborted) return undefined;
    return waiting.sort((a, b) => a.notBefore - b.notBefore || (a.changedAt ?? 0) - (b.changedAt ?? 0))[0];
  }

  async #update(followed: Followed): Promise<void> {
    const { changedAt, folder } = followed;
    followed.changedAt = undefined; // what changes from here on is not seen for certain
    const begunAt = performance.now();
    try {
      this.#term ??= await takeTerm(this.#bucket);
      followed.copy ??= openRunCopy(this.#bucket, folder.run, this.#term, isDurableName);
      const { bytes, again } = await followed.copy.update(durableFiles(folder));
      this.#failures = 0;
      this.#notBefore = 0;
      this.#metrics.copied(bytes);
      if (again) followed.changedAt = changedAt;
      else this.#caughtUp(followed);
    } catch (error) {
      followed.changedAt = changedAt;
      followed.copy = undefined; // what is there is looked at anew
      this.#failed(followed, error);
    }
    const tookMs = performance.now() - begunAt;
    followed.notBefore = performance.now() + Math.min(LONGEST_REST_MS, Math.max(LEAST_REST_MS, tookMs * REST_SHARE));
  }

  #caughtUp(followed: Followed): void {
    if (followed.failingSince === undefined) return;
    const afterSeconds = (performance.now() - followed.failingSince) / 1000;
    followed.failingSince = undefined;
    this.#log.info('copy_caught_up', { run: followed.folder.run, afterSeconds });
    followed.told?.append({ event: 'copy_caught_up', afterSeconds });
    followed.told = undefined;
  }

  #failed(followed: Followed, error: unknown): void {
    if (this.#closing && this.#ending.signal.aborted) return;
    const code: ErrorCode = error instanceof RopeteamError ? error.code : 'STORAGE.OBJECT';
    const message = error instanceof Error ? error.message : String(error);
    const { hint } = error instanceof RopeteamError ? error : { hint: undefined };
    this.#metrics.copyFailed();
    this.#notBefore = performance.now() + Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures++);
    if (this.#closing) this.#ending.abort(error);
    if (code === 'COORD.FENCED') this.#fenced = true;
    // Of the other run of that name there is no end to wait for.
    if (code === 'RUN.EXISTS') this.#runs.delete(followed.folder.run);
    if (followed.failingSince === undefined)
      this.#log.error('copy_failed', { run: followed.folder.run, code, message });
    followed.failingSince ??= performance.now();
    for (const one of this.#fenced ? this.#runs.values() : [followed]) {
      if (one.events === one.told) continue;
      one.told = one.events;
      one.events?.append({ event: 'copy_failed', code, message, ...(hint === undefined ? {} : { hint }) });
    }
  }

  #delaySeconds(): number {
    const since = [...this.#runs.values()].flatMap(({ changedAt }) => changedAt ?? []);
    return since.length === 0 ? 0 : (performance.now() - Math.min(...since)) / 1000;
  }
}
